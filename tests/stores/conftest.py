"""A store of its own for each test, checked after use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sqlcache_nb.stores.disk import DiskStore
from tests.oracle import inconsistencies


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(directory: Path) -> Iterator[DiskStore]:
    store = DiskStore(directory)
    yield store
    assert store.check().faults == 0
    store.close()
    assert inconsistencies(directory) == []
