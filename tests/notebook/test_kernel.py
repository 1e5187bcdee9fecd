"""The magic in real kernels, run by nbclient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

SETUP = """\
%load_ext sqlcache_nb
from sqlalchemy import create_engine
db = create_engine("sqlite:///flights.db")
limit = 3"""
QUERY = "%%cachedsql db\nSELECT * FROM flights WHERE id < :limit"
KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def kernels(isolated: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `flights.db`, and kernels that read nobody's settings."""
    for kind in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{kind}_DIR", str(isolated / kind))
    return isolated


def run(folder: Path, *cells: str) -> NotebookNode:
    """The notebook after its cells ran in a new kernel, as far as they came."""
    notebook: NotebookNode = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as end:
        notebook.metadata["end"] = type(end).__name__
    return notebook


def shown(notebook: NotebookNode, cell: int) -> list[str]:
    """What a cell displayed, as plain text."""
    return [output["data"]["text/plain"] for output in notebook.cells[cell].outputs if "data" in output]


def test_an_answer_survives_its_kernel(kernels: Path) -> None:
    first = run(kernels, SETUP, QUERY, KILL)
    assert first.metadata["end"] == "DeadKernelError"
    second = run(kernels, SETUP, QUERY)
    assert "end" not in second.metadata
    told_first, table_first = shown(first, 1)
    told_second, table_second = shown(second, 1)
    assert told_first.startswith("miss: first time · flights.db · 2 x 4 · took ")
    assert told_second.startswith("hit · fetched ")
    assert told_first.split()[-1] == told_second.split()[-1]
    assert table_first == table_second


def test_a_fault_stops_the_run_and_is_short(kernels: Path) -> None:
    notebook = run(kernels, SETUP, "%%cachedsql db\nSELECT * FROM flihgts", "after = 1")
    assert notebook.metadata["end"] == "CellExecutionError"
    (output,) = notebook.cells[1].outputs
    assert output["ename"] == "NotebookError"
    assert output["traceback"] == ["NotebookError: no such table: flihgts · flights.db"]
    assert notebook.cells[2].execution_count is None


INTERRUPT = """\
import os, signal
from sqlalchemy import event
event.listen(db, "before_cursor_execute", lambda *_: os.kill(os.getpid(), signal.SIGINT))"""


def test_an_interrupt_stops_the_run_and_is_short(kernels: Path) -> None:
    notebook = run(kernels, SETUP, INTERRUPT, QUERY, "after = 1")
    assert notebook.metadata["end"] == "CellExecutionError"
    (output,) = notebook.cells[2].outputs
    assert output["traceback"] == ["interrupted: flights.db did not finish; nothing stored"]
    assert notebook.cells[3].execution_count is None


def test_no_password_is_in_a_notebook(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("PW", "SECRET")
    url = "postgresql+psycopg://ann:$PW@127.0.0.1:1/sales"
    notebook = run(kernels, SETUP, f"%cachedsql connect sales {url}", "%%cachedsql sales\nSELECT 1")
    assert shown(notebook, 1) == ["sales: ann@127.0.0.1:1/sales"]
    assert notebook.metadata["end"] == "CellExecutionError"
    assert "SECRET" not in json.dumps(notebook)


SLOW = """\
import threading
from sqlalchemy import event
from sqlcache_nb.notebook import awaited
awaited.PATIENCE = 0
def wait_for_the_line(*_):
    for thread in threading.enumerate():
        # The line's own: the ledger has one, too, that waits for a minute.
        if isinstance(thread, threading.Timer) and thread.interval == awaited.PATIENCE:
            thread.join()
event.listen(db, "before_cursor_execute", wait_for_the_line)"""


def test_a_slow_miss_says_why_before_its_answer_is_there_and_once_in_the_end(
    kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    process = NotebookClient.process_message

    def note(client: NotebookClient, message: Any, *rest: Any) -> Any:
        if message["msg_type"].endswith("display_data"):
            seen.append((message["msg_type"], message["content"]["data"]["text/plain"]))
        return process(client, message, *rest)

    monkeypatch.setattr(NotebookClient, "process_message", note)
    notebook = run(kernels, SETUP, SLOW, "%cachedsql db --quiet SELECT 1", QUERY, "limit = 4\n", QUERY)
    assert "end" not in notebook.metadata
    early, late, other_early, other_late = seen
    assert early == ("display_data", "miss: first time · flights.db · asking ...")
    assert late[0] == "update_display_data"
    assert other_early == ("display_data", "miss: same SQL, :limit was 3, is 4 · flights.db · asking ...")
    assert other_late[0] == "update_display_data"
    assert [shown(notebook, cell)[0] for cell in (3, 5)] == [late[1], other_late[1]]
    assert late[1].startswith("miss: first time · flights.db · 2 x 4 · took ")
    assert [len(shown(notebook, cell)) for cell in (3, 5)] == [2, 2]


def test_a_slow_fault_leaves_one_line(kernels: Path) -> None:
    notebook = run(kernels, SETUP, SLOW, "%%cachedsql db\nSELECT * FROM flihgts")
    line, fault = notebook.cells[2].outputs
    assert line["data"]["text/plain"] == "miss: first time · flights.db · no answer"
    assert fault["traceback"] == ["NotebookError: no such table: flihgts · flights.db"]


# --- offline ------------------------------------------------------------------------------------------------------

PLAIN = """\
from sqlalchemy import text
from sqlcache_nb import cached_read_sql
cached_read_sql(text("SELECT * FROM flights WHERE id < :limit"), db, params={"limit": limit})"""
FORBID = """\
from sqlalchemy import event
def refuse(*_):
    raise AssertionError("the database was asked")
for name in ("do_connect", "before_cursor_execute"):
    event.listen(db, name, refuse)"""
OFFLINE = "%config CachedSQLMagics.offline = True"


@pytest.mark.parametrize("by", ["environment", "config"])
def test_an_offline_notebook_is_served_without_its_database(
    kernels: Path, database: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    first = run(kernels, SETUP, QUERY)
    database.unlink()
    if by == "environment":
        monkeypatch.setenv("SQLCACHE_NB_OFFLINE", "1")
    go_offline = OFFLINE if by == "config" else "pass"
    second = run(kernels, SETUP, go_offline, FORBID, PLAIN, QUERY, QUERY + " + 0", "after = 1")
    assert second.metadata["end"] == "CellExecutionError"
    for cell in (3, 4):
        *told, table = shown(second, cell)
        assert table == shown(first, 1)[-1]
        assert "offline" in told[-1]
        assert len(told) == 1
        assert not [output for output in second.cells[cell].outputs if output.get("name") == "stderr"]
    (fault,) = second.cells[5].outputs
    (told,) = fault["traceback"]
    assert fault["ename"] == "CacheMiss"
    assert told.startswith("CacheMiss: offline: ")
    assert len(told.splitlines()) <= 2
    assert second.cells[6].execution_count is None
    assert not database.exists()


def test_a_miss_of_the_plain_function_offline_is_short(kernels: Path) -> None:
    notebook = run(kernels, SETUP, OFFLINE, PLAIN)
    (fault,) = notebook.cells[2].outputs
    (told,) = fault["traceback"]
    assert fault["ename"] == "CacheMiss"
    assert told.startswith("CacheMiss (line 3): offline: ")
    assert len(told.splitlines()) <= 2


def test_a_slip_in_an_option_is_one_line(kernels: Path) -> None:
    slip = PLAIN.replace("params=", "ttl='soon', params=")
    notebook = run(kernels, SETUP, slip)
    (fault,) = notebook.cells[1].outputs
    (told,) = fault["traceback"]
    assert told.startswith("ConfigError (line 3): ttl='soon' is not a time: give seconds, a timedelta, ")
    assert len(told.splitlines()) == 1
