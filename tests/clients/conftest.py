"""What these tests need takes minutes to install, and is there only for `make clients`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.servers import Park


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    is_wanted = "not clients" not in config.option.markexpr
    return None if is_wanted or collection_path.is_dir() else True


@pytest.fixture(scope="session")
def park() -> Iterator[Park]:
    park = Park()
    yield park
    park.close()
