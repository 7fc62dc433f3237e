"""What these tests import is large, and there only for `make natives`: others pass them over."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_wanted = "not natives" not in config.option.markexpr
    return None if is_wanted or collection_path.is_dir() else True
