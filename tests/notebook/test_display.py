"""Notes and tables."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlcache_nb.cache import QueryCache
from sqlcache_nb.notebook.display import HELP, Note, entries_table


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
    assert list(table.columns) == ("key name tags source sql shape size fetched age used took pinned".split())
