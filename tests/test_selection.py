"""Filters over entries."""

from __future__ import annotations

from typing import Any

import pytest

from sqlcache_nb.entry import Entry
from sqlcache_nb.errors import EntryNotFound
from sqlcache_nb.selection import Selection, only_one
from tests.store_contract import entry_of

ENTRY = entry_of("a" * 64, name="mine", tags=("daily",), pinned=True)


def hour(entry: Entry) -> float:
    return 3_600.0


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ({}, True),
        ({"name": "mine", "tag": "daily", "table": "SALES", "source": "sales.db"}, True),
        ({"name": "other"}, False),
        ({"tag": "weekly"}, False),
        ({"tag": "table:sales"}, True),
        ({"table": "orders"}, False),
        ({"source": "other.db"}, False),
        ({"older_than": 3_599.0}, True),
        ({"older_than": 3_600.0}, False),
        ({"unused_for": 0.0}, True),
        ({"unused_for": 3_600.0}, False),
        ({"unpinned_only": True}, False),
    ],
    ids=str,
)
def test_what_fits(filters: dict[str, Any], fits: bool) -> None:
    assert Selection(**filters).fits(ENTRY, hour, hour) is fits


@pytest.mark.parametrize(
    ("prefix", "told"),
    [("a", "2 entries have keys that begin with 'a'"), ("c", "no entry has the key 'c'"), ("", "no")],
)
def test_a_prefix_means_one_key_or_none(prefix: str, told: str) -> None:
    with pytest.raises(EntryNotFound, match=told):
        only_one(["aa", "ab", "bb"], prefix)
    assert only_one(["aa", "ab", "bb"], "b") == "bb"
