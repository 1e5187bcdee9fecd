"""The words beside reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlcache_nb import notes
from sqlcache_nb.config import Config
from tests.flights import ENTRY, LOCAL, NOW


def test_the_announcement_names_who_chose_the_directory() -> None:
    config = Config(directory=Path("answers"), pyproject=Path("pyproject.toml"))
    assert notes.announcement(config) == "results are kept in answers, as pyproject.toml says"
    assert notes.announcement(replace(config, pyproject=None)) is None


def test_what_the_verbs_say() -> None:
    assert notes.removed(1, 10) == "removed 1 entry (10 bytes)"
    assert notes.removed(0, 0) == "removed nothing: no entry matches"
    assert notes.nothing_cleared(2, 84_200_000, 5_400.0, 1) == (
        "nothing deleted. Stored: 2 entries, 84.2 MB, 1 h 30 min of queries, from 1 database; "
        "clear --all deletes all of it"
    )
    assert notes.nothing_cleared(0, 0, 0.0, 0) == "nothing is stored"
    assert notes.removed(0, 0, all_of_them=True) == "nothing is stored"
    assert notes.written(1, "flights.db") == "written: 1 row · flights.db"
    assert notes.written(-1, "flights.db") == "written · flights.db"
    assert notes.written(-1, "flights.db", 1) == "written · 1 entry invalidated · flights.db"
    assert notes.invalidated(2) == "invalidated 2 entries"
    assert notes.invalidated(0) == "nothing to invalidate"
    assert notes.outcomes(1, 2, 3, 4) == "1 hit, 2 misses, 3 refreshed, 4 not cached"


def test_what_is_said_of_a_replaced_version() -> None:
    assert notes.replaced(None, NOW) == ""
    told = f"fetched {LOCAL} (2 h ago), 336,776 rows, 10 bytes: load(key, version=-1)"
    assert notes.replaced(ENTRY, NOW) == told


def test_a_pin_says_what_is_frozen_and_how_old_it_is() -> None:
    told = notes.pinned(ENTRY, NOW)
    assert told == (
        f"pinned ab12cd34: it is the answer until it is unpinned or refreshed · fetched {LOCAL} (2 h ago)"
    )


def test_the_end_of_a_pin_says_why() -> None:
    assert notes.unpinned(ENTRY) == "unpinned ab12cd34"
    assert notes.unpinned(ENTRY, refreshed=True) == "ab12cd34 is no longer pinned: it was fetched again"


def test_a_dry_run_says_what_a_clear_would() -> None:
    for numbers in ((0, 0), (1, 10), (1_234, 5_000_000)):
        would = notes.would_remove(*numbers)
        assert notes.removed(*numbers) == would.replace("would remove", "removed")
