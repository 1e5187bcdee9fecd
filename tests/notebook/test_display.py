"""Notes and tables."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from sqlcache_nb.cache import QueryCache
from sqlcache_nb.notebook.display import HELP, Note, entries_table, entry_text


def test_a_note_is_text_and_html() -> None:
    note = Note("a < b · c")
    assert repr(note) == "a < b · c"
    assert ">a &lt; b · c</div>" in note._repr_html_()


def test_several_lines_are_aligned_in_a_browser() -> None:
    assert "monospace" in Note("a  1\nb  2")._repr_html_()
    assert "monospace" not in Note("a")._repr_html_()


def test_help_fits_a_cell() -> None:
    assert max(map(len, HELP.splitlines())) <= 110


def test_no_entries(tmp_path: object) -> None:
    with QueryCache(f"{tmp_path}/cache") as cache:
        table = entries_table(cache.entries(), datetime.now(UTC))
    assert list(table.columns) == (
        "key name tags source sql shape size fetched age ttl used took pinned".split()
    )


def test_info_says_when_an_answer_was_validated_and_by_whom(cache: QueryCache, sales: Engine) -> None:
    entry = cache.read("select * from sales", sales).entry
    assert entry is not None
    fetched = entry.provenance.fetched_at
    now = fetched + timedelta(hours=2)
    assert "validated " not in entry_text(entry, now, None, fetched)
    proven = replace(
        entry,
        validated_at=now - timedelta(minutes=5),
        tokens={"snapshot": "1", "file": "2", "sql:0123456789abcdef": "3"},
    )
    told = entry_text(proven, now, None, fetched)
    assert re.search(r"^validated +\S+ \S+ \(5 min ago\)$", told, re.MULTILINE)
    assert re.search(r"^validators +SQL of your own, file, snapshot$", told, re.MULTILINE)
