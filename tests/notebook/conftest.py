"""A real IPython with a cache and settings of its own, and a real database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from traitlets.config import Config

from sqlcache_nb import api
from sqlcache_nb.notebook import load_ipython_extension, unload_ipython_extension
from tests.conftest import found_by
from tests.oracle import inconsistencies

FLIGHTS = [(1, "UA", "EWR", 2), (2, "AA", "JFK", 33), (3, "UA", "LGA", -5), (4, "B6", "JFK", 0)]


@pytest.fixture
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory, cache directory and IPython directory that nothing else uses."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("SQLCACHE_NB_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(api.__file__).parents[1]))  # for kernels and other processes
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "_default", [])
    yield tmp_path
    for cache in api._default:
        assert found_by(cache) == ()
        cache.close()
    if (tmp_path / "cache").is_dir():
        assert inconsistencies(tmp_path / "cache") == []


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """`flights.db` with a table of four flights."""
    path = tmp_path / "flights.db"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("create table flights (id integer, carrier text, origin text, delay integer)")
        con.executemany("insert into flights values (?, ?, ?, ?)", FLIGHTS)
    return path


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    """An engine on `flights.db`; what it executes is in `executed`."""
    engine = create_engine(f"sqlite:///{database}")
    yield engine
    engine.dispose()


@pytest.fixture
def executed(engine: Engine) -> list[str]:
    """The person's statements that reached the database."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "flights" in statement.lower() and "sqlite_master" not in statement.lower():
            statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return statements


class Notebook:
    """Runs cells as a notebook does, and raises what they raise.

    Args:
        shell: the IPython.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell: Any = shell  # not all of it is typed
        self.shown = ""

    def run(self, cell: str) -> Any:
        """The cell's value; what it printed or displayed is in `shown`."""
        with capture_output() as captured:
            result = self.shell.run_cell(cell, store_history=False)
        displayed = [output.data["text/plain"] for output in captured.outputs]
        self.shown = "\n".join(displayed) + captured.stdout
        result.raise_error()
        return result.result

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __setitem__(self, name: str, value: object) -> None:
        self.shell.user_ns[name] = value


@pytest.fixture
def shell(isolated: Path) -> Iterator[InteractiveShell]:
    """An IPython with the extension loaded."""
    InteractiveShell.clear_instance()
    settings = Config()
    settings.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=settings)
    load_ipython_extension(shell)
    yield shell
    unload_ipython_extension(shell)
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(shell: InteractiveShell, engine: Engine) -> Notebook:
    """A notebook with the engine in its variable `db`."""
    notebook = Notebook(shell)
    notebook["db"] = engine
    return notebook
