"""gevent._config, served by fibril."""

from fibril.config import Config, config

__all__ = ["Config", "config"]

if __name__ == "__main__":
    config.print_help()
