"""The words for what happens to entries beside reads."""

from __future__ import annotations

from datetime import timedelta

from sqlcache_nb import notes
from tests.store_contract import START, entry_of

ENTRY = entry_of("ab12" * 16)


def test_a_pin_says_what_is_frozen_and_how_old_it_is() -> None:
    told = notes.pinned(ENTRY, START + timedelta(hours=2))
    assert told.startswith(
        "pinned ab12ab12: it is the answer until it is unpinned or refreshed · fetched 2026-"
    )
    assert told.endswith("(2 h ago)")


def test_the_end_of_a_pin_says_why() -> None:
    assert notes.unpinned(ENTRY) == "unpinned ab12ab12"
    assert notes.unpinned(ENTRY, refreshed=True) == "ab12ab12 is no longer pinned: it was fetched again"


def test_a_dry_run_says_what_a_clear_would() -> None:
    for numbers in ((0, 0), (1, 10), (1_234, 5_000_000)):
        would = notes.would_remove(*numbers)
        assert notes.removed(*numbers) == would.replace("would remove", "removed")
