"""What is said of a command line that cannot be understood."""

__all__ = ["UsageError"]


class UsageError(Exception):
    """The command line cannot be understood."""
