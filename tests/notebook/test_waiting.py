"""A cell whose question somebody else is asking."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine

from sqlcache_nb import default_cache, flight
from tests.notebook.conftest import Notebook

SOON = 60
"""Seconds after which a test that hangs is ended."""


def test_a_stale_answer_says_when_the_new_one_is_there(notebook: Notebook, engine: Engine) -> None:
    may_answer = threading.Event()

    def hold(*_statement: object) -> None:
        if threading.current_thread().name == "sqlcache_nb refresh":
            assert may_answer.wait(SOON)

    cell = "%%cachedsql db frame << {}\nselect id, datetime('now') as now from flights"
    notebook.run(cell.format("--ttl 0"))
    event.listen(engine, "before_cursor_execute", hold)
    notebook.run(cell.format("--ttl 0 --stale-while-revalidate 1h"))
    assert notebook.shown.startswith("stale · fetched ")
    assert " · refreshing in the background · flights.db · " in notebook.shown
    (running,) = default_cache()._refreshes._running.values()

    def be_done() -> None:
        may_answer.set()
        running.result(SOON)

    notebook["be_done"] = be_done
    notebook.run("be_done()")
    assert notebook.shown.startswith("refreshed · ")
    assert " · in the background: ask again to have it · " in notebook.shown
    assert len(notebook.shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (
            "%%cachedsql db frame <<\nselect * from flights",
            ["waiting for another thread, 1 s", "hit · fetched just now by another thread · waited "],
        ),
        ("%%cachedsql db frame << --quiet\nselect * from flights", []),
    ],
)
def test_it_says_for_whom_it_waits(
    notebook: Notebook, engine: Engine, monkeypatch: pytest.MonkeyPatch, cell: str, shown: list[str]
) -> None:
    asking, may_answer = threading.Event(), threading.Event()
    real_pause = flight.Flight._pause

    def pause(self: flight.Flight, seconds: float) -> None:
        if self.awaited is not None:  # the cell waits, and has said so
            may_answer.set()
        real_pause(self, seconds)

    def ask() -> None:
        cache = default_cache()
        real_fetch = cache._fetch

        def fetch(*args: Any) -> Any:
            asking.set()
            assert may_answer.wait(SOON)
            return real_fetch(*args)

        monkeypatch.setattr(cache, "_fetch", fetch)
        cache.read(text("select * from flights"), engine)
        cache._store().close()  # the thread's own connection

    monkeypatch.setattr(flight, "PATIENCE", 0.0)
    monkeypatch.setattr(flight.Flight, "_pause", pause)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        assert asking.wait(SOON)
        notebook.run(cell)
        asked.result(SOON)
    assert len(notebook["frame"]) == 4
    lines = [line for line in notebook.shown.splitlines() if line]
    assert len(lines) == len(shown)
    assert all(line.startswith(begin) for line, begin in zip(lines, shown, strict=True))
