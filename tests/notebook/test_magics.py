"""The magic in a real IPython, on a real database."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from sqlcache_nb import QueryCache, api
from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook import load_ipython_extension, unload_ipython_extension
from sqlcache_nb.policy import Policy

if TYPE_CHECKING:
    from tests.notebook.conftest import Notebook

FIRST = "miss: first time · flights.db · 4 x 4 · took "


def fault_of(notebook: Notebook, cell: str) -> str:
    with pytest.raises(NotebookError) as fault:
        notebook.run(cell)
    assert fault.value.__context__ is None
    assert 1 <= len(str(fault.value).splitlines()) <= 2
    return str(fault.value)


# --- answers --------------------------------------------------------------------------------------


def test_a_miss_then_a_hit(notebook: Notebook, executed: list[str]) -> None:
    first = notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert notebook.shown.startswith(FIRST)
    second = notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert notebook.shown.startswith("hit · fetched ")
    assert " (just now) · file unchanged · flights.db · 4 x 4 · took " in notebook.shown
    assert len(executed) == 1
    pd.testing.assert_frame_equal(first, second)


def test_a_changed_file_is_a_miss(notebook: Notebook, executed: list[str], database: Path) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    with closing(sqlite3.connect(database)) as con, con:
        con.execute("insert into flights values (5, 'UA', 'EWR', 1)")
    assert len(notebook.run("%%cachedsql\nSELECT * FROM flights")) == 5
    assert notebook.shown.startswith("miss: file changed · 5 rows (+1) · flights.db · 4 columns · took ")
    key = notebook.run("%cachedsql list")["key"][0]
    notebook.run(f"%cachedsql info {key}")
    (line,) = [line for line in notebook.shown.splitlines() if line.startswith("replaced")]
    assert re.fullmatch(
        r"replaced +fetched \S+ \S+ \(just now\), 4 rows, \S+ kB: load\(key, version=-1\)", line
    )
    assert len(executed) == 2


def test_a_line_takes_its_options_after_the_connection(notebook: Notebook, executed: list[str]) -> None:
    notebook["wanted"] = {"id": 2}
    frame = notebook.run("%cachedsql db --quiet --params wanted SELECT carrier FROM flights WHERE id = :id")
    assert frame["carrier"].tolist() == ["AA"]
    assert "miss" not in notebook.shown
    notebook.run("%cachedsql db --write DELETE FROM flights WHERE id = 2")
    assert notebook.shown.strip() == "written: 1 row · 1 entry invalidated · flights.db"
    assert len(executed) == 2


@pytest.mark.parametrize("line", ["db db <<", "db <<", "url db <<", "db url <<"])
def test_no_connection_is_overwritten_by_a_frame(notebook: Notebook, database: Path, line: str) -> None:
    notebook["url"] = f"sqlite:///{database}"
    before = notebook["db"], notebook["url"]
    assert "holds a connection" in fault_of(notebook, f"%%cachedsql {line}\nSELECT * FROM flights")
    assert (notebook["db"], notebook["url"]) == before


@pytest.mark.parametrize("arrow", ["out <<", "out = <<", "out<<"])
def test_the_frame_goes_into_a_variable(notebook: Notebook, arrow: str) -> None:
    assert notebook.run(f"%%cachedsql db {arrow}\nSELECT * FROM flights") is None
    assert notebook.shown.startswith(FIRST)
    assert "carrier" not in notebook.shown
    assert len(notebook["out"]) == 4


def test_the_line_form_has_a_value(notebook: Notebook) -> None:
    notebook.run("%cachedsql connect here db")
    notebook.run("frame = %cachedsql --quiet SELECT count(*) AS n FROM flights -- all of them")
    assert notebook.shown == ""
    assert notebook["frame"]["n"].tolist() == [4]
    assert notebook.run("%cachedsql db SELECT 7 AS seven")["seven"].tolist() == [7]


def test_a_line_inside_a_function_sees_its_variables(notebook: Notebook) -> None:
    notebook.run("%cachedsql connect here db")
    notebook.run(
        "def of(carrier):\n"
        "    frame = %cachedsql SELECT id FROM flights WHERE carrier = :carrier\n"
        "    return frame\n"
        "carrier = 'AA'"
    )
    assert notebook.run("of('UA')")["id"].tolist() == [1, 3]


def test_a_bare_table_name(notebook: Notebook) -> None:
    assert len(notebook.run("%%cachedsql db\nflights")) == 4
    assert notebook.shown.startswith(FIRST)


def test_a_semicolon_at_the_end_hides_nothing(notebook: Notebook) -> None:
    assert len(notebook.run("%%cachedsql db\nSELECT * FROM flights;")) == 4


def test_nothing_is_expanded_by_ipython(notebook: Notebook) -> None:
    notebook["db_name"] = "PASTED"
    cell = "%%cachedsql db\nSELECT '$db_name {db_name} {{db_name}}' AS s, 'a%' AS p"
    assert notebook.run(cell).to_numpy().tolist() == [["$db_name {db_name} {{db_name}}", "a%"]]
    frame = notebook.run("%cachedsql SELECT '$db_name {db_name}' AS s")
    assert frame["s"].tolist() == ["$db_name {db_name}"]


def test_quiet(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db --quiet\nSELECT * FROM flights")
    assert "miss" not in notebook.shown
    notebook.run("%config CachedSQLMagics.quiet = True")
    notebook.run("%%cachedsql\nSELECT * FROM flights")
    assert "hit" not in notebook.shown


def test_refresh_and_no_store(notebook: Notebook, executed: list[str]) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%%cachedsql db --refresh\nSELECT * FROM flights")
    assert notebook.shown.startswith("refreshed · same answer · flights.db · 4 x 4 · took ")
    notebook.run("%%cachedsql db --no-store\nSELECT * FROM flights")
    assert notebook.shown.startswith("not cached: ")
    assert "flights.db" in notebook.shown
    assert len(executed) == 3
    assert "refresh" in fault_of(notebook, "%%cachedsql db --refresh --no-store\nSELECT * FROM flights")


def test_explain_runs_and_is_not_cached(notebook: Notebook) -> None:
    notebook.run("%cachedsql connect here db")
    assert len(notebook.run("%cachedsql EXPLAIN SELECT * FROM flights"))
    assert notebook.shown.startswith("not cached: ")


def test_a_session_and_a_connection(notebook: Notebook, engine: Engine, database: Path) -> None:
    with (
        Session(engine) as session,
        engine.connect() as connection,
        closing(sqlite3.connect(database)) as raw,
    ):
        notebook["session"], notebook["connection"], notebook["raw"] = session, connection, raw
        notebook["ids"] = [1, 2]
        for name in ("session", "connection", "raw"):
            assert len(notebook.run(f"%%cachedsql {name}\nSELECT * FROM flights")) == 4
            assert len(notebook.run(f"%%cachedsql {name}\nSELECT * FROM flights WHERE id IN :ids")) == 2


def test_an_in_memory_database_answers_uncached(notebook: Notebook) -> None:
    assert len(notebook.run("%%cachedsql sqlite://\nSELECT 1")) == 1
    assert notebook.shown.startswith("not cached: ")
    assert "Warning" not in notebook.shown


# --- connections ----------------------------------------------------------------------------------


def test_an_alias_is_used_from_then_on(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    monkeypatch.setenv("FOLDER", str(database.parent))
    notebook.run("%cachedsql connect flights sqlite:///$FOLDER/flights.db")
    assert notebook.shown.strip() == "flights: flights.db"
    assert len(notebook.run("%%cachedsql\nSELECT * FROM flights")) == 4
    assert len(notebook.run("%%cachedsql flights\nSELECT * FROM flights")) == 4
    assert notebook.shown.startswith("hit")


def test_the_database_of_the_environment(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{database}")
    assert len(notebook.run("%%cachedsql\nSELECT * FROM flights")) == 4
    assert notebook.shown.startswith(FIRST)


def test_no_connection(notebook: Notebook) -> None:
    assert fault_of(notebook, "%%cachedsql\nSELECT 1").startswith("which database?")
    assert "did you mean db?" in fault_of(notebook, "%%cachedsql dbb\nSELECT 1")


# --- parameters -----------------------------------------------------------------------------------


def test_parameters_from_the_notebook(notebook: Notebook, executed: list[str]) -> None:
    sql = "%%cachedsql db\nSELECT id FROM flights WHERE carrier = :carrier AND origin <> ':no'"
    notebook["carrier"] = "UA"
    assert notebook.run(sql)["id"].tolist() == [1, 3]
    notebook["carrier"] = "AA"
    assert notebook.run(sql)["id"].tolist() == [2]
    notebook["carrier"] = "x' OR '1'='1"
    assert notebook.run(sql)["id"].tolist() == []
    notebook["carrier"] = "UA"
    assert notebook.run(sql)["id"].tolist() == [1, 3]
    assert notebook.shown.startswith("hit")
    assert len(executed) == 3


@pytest.mark.parametrize("place", [":names", "(:names)"])
@pytest.mark.parametrize("names", ["['UA', 'AA']", "('AA', 'UA')", "{'UA', 'AA'}"])
def test_lists(notebook: Notebook, place: str, names: str) -> None:
    notebook.run(f"names = {names}")
    frame = notebook.run(f"%%cachedsql db\nSELECT id FROM flights WHERE carrier IN {place} ORDER BY id")
    assert frame["id"].tolist() == [1, 2, 3]


def test_a_numpy_scalar_finds_its_rows(notebook: Notebook) -> None:
    notebook.run("import numpy\nn = numpy.int64(3)")
    assert len(notebook.run("%%cachedsql db\nSELECT * FROM flights WHERE id = :n")) == 1


def test_parameters_from_a_dict(notebook: Notebook) -> None:
    notebook.run("wanted = {'carrier': 'AA'}\ncarrier = 'UA'")
    frame = notebook.run("%%cachedsql db --params wanted\nSELECT id FROM flights WHERE carrier = :carrier")
    assert frame["id"].tolist() == [2]


def test_an_undefined_parameter(notebook: Notebook) -> None:
    notebook["carier"] = notebook["password"] = "SECRET"
    fault = fault_of(notebook, "%%cachedsql db\nSELECT * FROM flights WHERE carrier = :carrier")
    assert fault == ":carrier is not defined (did you mean carier?): set it, or give --params"
    for name in ("len", "print", "exit", "get_ipython", "open"):
        assert f":{name} is " in fault_of(notebook, f"%%cachedsql db\nSELECT :{name}")


def test_after_a_bracket(notebook: Notebook) -> None:
    assert "write (:n)" in fault_of(notebook, "%%cachedsql db\nSELECT a[:n]")


# --- writes ---------------------------------------------------------------------------------------


def test_a_write_is_refused(notebook: Notebook, executed: list[str]) -> None:
    for sql in ("DELETE FROM flights", "DROP TABLE flights", "INSERT INTO flights VALUES (9, 'a', 'b', 1)"):
        assert "--write" in fault_of(notebook, f"%%cachedsql db\n{sql}")
    assert "--write" in fault_of(notebook, "%%cachedsql db\nSELECT 1; DELETE FROM flights")
    assert executed == []


@pytest.mark.parametrize("con", ["db", "url"])
def test_a_write_is_committed_once(notebook: Notebook, con: str, database: Path) -> None:
    notebook["url"] = f"sqlite:///{database}"
    notebook["least"] = 1
    assert notebook.run(f"%%cachedsql {con} --write\nDELETE FROM flights WHERE delay > :least") is None
    assert notebook.shown.strip() == "written: 2 rows · flights.db"
    with closing(sqlite3.connect(database)) as fresh:
        assert fresh.execute("select count(*) from flights").fetchone() == (2,)


@pytest.mark.parametrize("sql", ["VACUUM", "ANALYZE", "analyze flights", "REINDEX"])
def test_upkeep_runs_as_a_write(notebook: Notebook, sql: str) -> None:
    notebook.run(f"%%cachedsql db --write\n{sql}")
    assert notebook.shown.strip() == "written · flights.db"


def test_a_write_needs_an_engine(notebook: Notebook, engine: Engine) -> None:
    with engine.connect() as connection:
        notebook["connection"] = connection
        fault = fault_of(notebook, "%%cachedsql connection --write\nDELETE FROM flights")
    assert "Engine" in fault


def test_write_is_for_writes(notebook: Notebook) -> None:
    assert "leave it out" in fault_of(notebook, "%%cachedsql db --write\nSELECT * FROM flights")
    assert "out <<" in fault_of(notebook, "%%cachedsql db out << --write\nDELETE FROM flights")
    assert len(notebook.run("%%cachedsql db\nSELECT * FROM flights")) == 4


@pytest.mark.server
def test_a_select_that_acts_is_a_write_where_that_is_said(server: Notebook) -> None:
    server.run("%%cachedsql pg --write\nCREATE SEQUENCE IF NOT EXISTS counted")
    try:
        for n in (1, 2):
            frame = server.run("%%cachedsql pg --write\nSELECT nextval('counted') AS n")
            assert frame["n"].tolist() == [n]
    finally:
        server.run("%%cachedsql pg --write\nDROP SEQUENCE counted")


def test_a_write_makes_stale_what_names_its_table_and_says_how_many(notebook: Notebook) -> None:
    for sql in ("SELECT * FROM flights", "SELECT count(*) AS n FROM Flights", "SELECT * FROM sqlite_schema"):
        notebook.run(f"%%cachedsql db\n{sql}")
    notebook.run("%%cachedsql db --write\nINSERT INTO main.flights VALUES (5, 'UA', 'EWR', 1)")
    assert notebook.shown.strip() == "written: 1 row · 2 entries invalidated · flights.db"
    assert len(notebook.run("%%cachedsql db\nSELECT * FROM flights")) == 5
    assert notebook.shown.startswith("miss: invalidated just now · 5 rows (+1) · flights.db · 4 columns")


def test_a_failed_write_invalidates_nothing(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    fault_of(notebook, "%%cachedsql db --write\nUPDATE flights SET nothing = 1")
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert notebook.shown.startswith("hit · ")


# --- verbs ----------------------------------------------------------------------------------------


def test_list_and_info(notebook: Notebook) -> None:
    assert len(notebook.run("%cachedsql list")) == 0
    notebook["least"] = 0
    notebook.run(
        "%%cachedsql db --name delays --tag a --tag b --ttl 1h\nSELECT *\nFROM flights WHERE delay > :least"
    )
    row = notebook.run("%cachedsql list").iloc[0]
    assert (row["name"], row["tags"], row["source"], row["shape"]) == (
        "delays",
        "a, b, table:flights",
        "flights.db",
        "2 x 4",
    )
    assert row["sql"].startswith("SELECT * FROM flights")
    for key in (row["key"], "delays"):
        assert notebook.run(f"%cachedsql info {key}") is None
        for told in (
            "flights.db (sqlite)",
            "name        delays",
            "a, b",
            "least",
            "2 x 4",
            row["key"],
            "FROM flights",
        ):
            assert told in notebook.shown
    assert fault_of(notebook, "%cachedsql info nosuch").endswith("'nosuch': see %cachedsql list")


def test_a_bare_clear_deletes_nothing(notebook: Notebook) -> None:
    notebook.run("%cachedsql clear")
    assert notebook.shown.strip() == "nothing is stored"
    notebook.run("%cachedsql clear --all")
    assert notebook.shown.strip() == "nothing is stored"
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%cachedsql clear")
    assert notebook.shown.startswith("nothing deleted. Stored: 1 entry, ")
    assert "of queries, from 1 database; clear --all deletes all of it" in notebook.shown
    assert len(notebook.run("%cachedsql list")) == 1


@pytest.mark.parametrize(
    "filters", ["--all", "--name n", "--tag t", "--source flights.db", "--older-than 0s", "--tag t --name n"]
)
def test_clear(notebook: Notebook, filters: str) -> None:
    notebook.run("%%cachedsql db --name n --tag t\nSELECT * FROM flights")
    notebook.run("%cachedsql clear --tag other")
    assert notebook.shown.strip() == "removed nothing: no entry matches"
    notebook.run(f"%cachedsql clear {filters}")
    assert notebook.shown.startswith("removed 1 entry (")
    assert len(notebook.run("%cachedsql list")) == 0


def test_clear_by_key(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    key = notebook.run("%cachedsql list")["key"][0]
    notebook.run(f"%cachedsql clear --key {key}")
    assert notebook.shown.startswith("removed 1 entry (")
    assert "ab12" in fault_of(notebook, "%cachedsql clear --key ab12")
    assert fault_of(notebook, "%cachedsql clear --older-than yesterday").startswith(
        "--older-than takes a time"
    )
    assert "--older-than" in fault_of(notebook, "%cachedsql clear --older 7d")


def test_check_says_what_is_wrong_and_repairs_it(notebook: Notebook, isolated: Path) -> None:
    for number in range(2):
        notebook.run(f"%%cachedsql db\nSELECT {number} AS n FROM flights")
    notebook.run("%cachedsql check")
    assert notebook.shown == "2 entries are sound; nothing is wrong"
    next((isolated / "cache").rglob("*.parquet")).write_bytes(b"damaged")
    notebook.run("%cachedsql check")
    assert notebook.shown == "1 entry is sound; 1 payload is damaged"
    notebook.run("%cachedsql check --repair")
    assert notebook.shown == "1 entry is sound; 1 payload is damaged (mended)"
    notebook.run("%cachedsql check")
    assert notebook.shown == "1 entry is sound; nothing is wrong"


def test_clear_says_what_would_go_and_what_goes(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db --name one\nSELECT * FROM flights")
    notebook.run("%%cachedsql db --pin\nSELECT 2 AS n")
    notebook.run("%cachedsql clear --all --dry-run")
    assert notebook.shown.startswith("would remove 2 entries (")
    notebook.run("%cachedsql clear --tag other --dry-run")
    assert notebook.shown.strip() == "would remove nothing: no entry matches"
    notebook.run("%cachedsql clear --unused-for 1d")
    assert notebook.shown.strip() == "removed nothing: no entry matches"
    notebook.run("%cachedsql clear --unpinned-only --unused-for 0s --dry-run")
    assert notebook.shown.startswith("would remove 1 entry (")
    notebook.run("%cachedsql clear --unpinned-only")
    assert notebook.shown.startswith("removed 1 entry (")
    assert notebook.run("%cachedsql list")["pinned"].tolist() == ["pinned"]
    notebook.run("%cachedsql clear --all")
    assert len(notebook.run("%cachedsql list")) == 0


def test_pin_and_unpin(notebook: Notebook, engine: Engine, executed: list[str]) -> None:
    question = "%%cachedsql db --name mine\nSELECT count(*) AS n FROM flights"
    notebook.run(question)
    key = notebook.run("%cachedsql list")["key"][0]
    notebook.run(f"%cachedsql pin {key}")
    assert notebook.shown.startswith(
        f"pinned {key}: it is the answer until it is unpinned or refreshed · fetched"
    )
    notebook.run("%cachedsql db --write DELETE FROM flights WHERE id = 1")
    assert notebook.run(question)["n"].tolist() == [4]
    assert "· pinned; invalidated just now · flights.db" in notebook.shown
    notebook.run("%cachedsql info mine")
    assert "forever, until it is unpinned or refreshed; it was invalidated" in notebook.shown
    assert re.search(r"^used +.* \(just now\)$", notebook.shown, re.MULTILINE)
    notebook.run("%cachedsql unpin mine")
    assert notebook.shown.strip() == f"unpinned {key}"
    assert notebook.run(question)["n"].tolist() == [3]
    assert "'nothing': see %cachedsql list" in fault_of(notebook, "%cachedsql pin nothing")


def test_an_option_pins_and_a_refresh_ends_it_and_says_so(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db --pin\nSELECT * FROM flights")
    assert "miss: first time · pinned · flights.db" in notebook.shown
    notebook.run("%%cachedsql db --refresh\nSELECT * FROM flights")
    assert "is no longer pinned: it was fetched again\nrefreshed · same answer · flights.db" in notebook.shown
    assert "pin keeps the answer" in fault_of(notebook, "%%cachedsql db --pin --no-store\nSELECT 1")


def test_what_was_dear_and_makes_room_is_a_note(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    cache = api.default_cache()
    stored = cache._store().entries()[0]
    dear = replace(stored.entry, provenance=replace(stored.entry.provenance, elapsed=300.0))
    cache._store().update(dear)
    monkeypatch.setattr(cache._space, "limit", stored.entry.bytes + 10)
    notebook.run("%%cachedsql db\nSELECT 2 AS n")
    assert "removed 1 entry (" in notebook.shown
    assert "5 min of queries) to stay within size_limit" in notebook.shown


def test_stats_and_help(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%cachedsql stats")
    assert "1 entry, " in notebook.shown
    assert re.search(r"^size limit +[0-9.]+ [kMGT]B$", notebook.shown, re.MULTILINE)
    for label in ("this session", "all sessions", datetime.now().astimezone().date()):
        assert re.search(rf"^{label} +1 hit, 1 miss; saved .*, [0-9.]+ kB", notebook.shown, re.MULTILINE)
    for line in ("%cachedsql help", "%cachedsql"):
        notebook.run(line)
        assert "--no-store" in notebook.shown


# --- faults ---------------------------------------------------------------------------------------


def test_an_error_of_the_database(notebook: Notebook) -> None:
    fault = fault_of(notebook, "%%cachedsql db\nSELECT 'SECRET' FROM flihgts")
    assert fault == "no such table: flihgts · flights.db"
    assert "(the verb is written: stats)" in fault_of(notebook, "%cachedsql db stats")


def test_what_was_meant_as_a_verb_or_a_connection_reaches_no_database(
    notebook: Notebook, executed: list[str]
) -> None:
    notebook.run("%cachedsql connect flights db")
    for line in (
        "info",
        "flights_ SELECT * FROM flights",
        "lst flights",
        "conect x postgresql://a:SECRET@flights/d",
    ):
        assert "SECRET" not in fault_of(notebook, f"%cachedsql {line}")
    assert "did you mean db?" in fault_of(notebook, "%cachedsql dbb SELECT * FROM flights")
    assert "options stand before" in fault_of(notebook, "%cachedsql SELECT * FROM flights --no-store")
    assert executed == []


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%cachedsql connect zz postgresql://alice:p@SECRET@127.0.0.1/x", "write it as %40"),
        ("%cachedsql connect zz postgresql://alice:p SECRET@127.0.0.1/x", "connect is written"),
        ("%cachedsql zz postgresql//alice:SECRET@127.0.0.1/x", "a database URL stands before"),
        ("%cachedsql info postgresql://alice:SECRET@127.0.0.1/x", "see %cachedsql list"),
        ("%%cachedsql postgresql://alice:p@SECRET@127.0.0.1/x\nSELECT 1", "write it as %40"),
    ],
)
def test_a_typed_password_is_not_printed(notebook: Notebook, cell: str, says: str) -> None:
    assert says in fault_of(notebook, cell)
    assert "SECRET" not in fault_of(notebook, cell)


def test_our_own_sentences_are_whole(notebook: Notebook) -> None:
    notebook["secret"] = 5
    fault = fault_of(notebook, "%%cachedsql db --params secret\nSELECT :x")
    assert fault == "--params secret: a dict is needed, not an int"
    assert fault_of(notebook, "%%cachedsql db\nSELECT @") == 'unrecognized token: "@" · flights.db'


@pytest.mark.parametrize("sql", [";", "-- nothing", "/* nothing */ ;"])
@pytest.mark.parametrize("option", ["", " --write"])
def test_nothing_to_show(notebook: Notebook, sql: str, option: str) -> None:
    fault = fault_of(notebook, f"%%cachedsql db{option}\n{sql}")
    assert fault.startswith("no rows come back: nothing to show")


@pytest.mark.parametrize("option", ["", " --write"])
def test_a_transaction_is_not_begun(notebook: Notebook, option: str) -> None:
    fault = fault_of(notebook, f"%%cachedsql db{option}\nbegin")
    assert fault == "BEGIN was not run, nor anything else here: --write commits each statement by itself"


def test_a_block_is_no_transaction(notebook: Notebook) -> None:
    assert "was not run" not in fault_of(
        notebook, "%%cachedsql db --write\nBEGIN work; END;"
    )  # SQLite has none


def test_a_parameter_that_cannot_be_bound(notebook: Notebook) -> None:
    notebook.run("from decimal import Decimal\ndec = Decimal('1.5')\ngen = (n for n in [1])\nn = 1")
    fault = fault_of(notebook, "%%cachedsql db\nSELECT :n, :dec")
    assert fault == ":dec is a Decimal, which sqlite3 cannot bind: give a float or a str"
    assert fault_of(notebook, "%%cachedsql db\nSELECT :gen") == ":gen is a generator: give a list"
    fault = fault_of(notebook, "%%cachedsql db\nSELECT * FROM flights WHERE id IN :n")
    assert fault == ":n is an int: IN takes a list"


def test_what_ipython_shows_of_an_error(
    notebook: Notebook, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(shell, "_showtraceback", lambda _type, _value, stb: lines.extend(stb))
    fault_of(notebook, "%%cachedsql db\nSELECT * FROM flihgts")
    assert lines == ["NotebookError: no such table: flihgts · flights.db"]


def test_no_password_in_an_error(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "SECRET")
    pytest.importorskip("psycopg")
    fault = fault_of(notebook, "%%cachedsql postgresql+psycopg://ann:$PW@127.0.0.1:1/sales\nSELECT 1")
    assert "SECRET" not in fault
    assert "ann@127.0.0.1:1/sales" in fault


def test_faults_of_the_grammar(notebook: Notebook) -> None:
    assert "did you mean --refresh?" in fault_of(notebook, "%%cachedsql db --refesh\nSELECT 1")
    assert "no SQL" in fault_of(notebook, "%%cachedsql db\n   \n")
    assert fault_of(notebook, "%%cachedsql db --ttl soon\nSELECT * FROM flights").startswith("--ttl takes")


def test_an_interrupt_passes_through(notebook: Notebook, engine: Engine) -> None:
    from sqlalchemy import event

    def interrupt(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    event.listen(engine, "before_cursor_execute", interrupt)
    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted: flights.db did not finish; nothing stored$"
    ) as stop:
        notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert stop.value.__context__ is None
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted: flights.db did not finish$"):
        notebook.run("%%cachedsql db --write\nDELETE FROM flights")


# --- settings -------------------------------------------------------------------------------------


# Its answer depends on the day, so that no token can vouch for it and its age decides.
DAYS = "%%cachedsql db {}\nSELECT id, datetime('now') AS now FROM flights"


def test_ttl(notebook: Notebook) -> None:
    notebook.run(DAYS.format("--ttl 30m"))
    notebook.run(DAYS.format(""))
    assert "hit · " in notebook.shown
    assert " · within its ttl of 30 min · " in notebook.shown
    notebook.run(DAYS.format("--ttl 0s"))
    assert notebook.shown.startswith("miss: older than its ttl of 0 s · ")


def test_the_ttl_of_config(notebook: Notebook) -> None:
    notebook.run("%config CachedSQLMagics.ttl = 0")
    notebook.run(DAYS.format(""))
    notebook.run(DAYS.format(""))
    assert notebook.shown.startswith("miss: older than its ttl of 0 s · ")
    notebook.run("%config CachedSQLMagics.ttl = '30m'")
    notebook.run(DAYS.format(""))
    assert notebook.shown.startswith("hit · ")
    notebook.run("%config CachedSQLMagics.ttl = None")
    notebook.run(DAYS.format(""))
    assert notebook.shown.startswith("hit · ")


def test_the_ttl_of_config_may_be_a_timedelta(notebook: Notebook) -> None:
    notebook.run("from datetime import timedelta")
    notebook.run("%config CachedSQLMagics.ttl = timedelta(minutes=30)")
    notebook.run(DAYS.format(""))
    notebook.run("%cachedsql info " + notebook.run("%cachedsql list")["key"][0])
    assert "fresh       for 30 min, until " in notebook.shown


def test_invalidate(notebook: Notebook, executed: list[str]) -> None:
    notebook.run("%cachedsql invalidate")
    assert notebook.shown == "nothing to invalidate"
    for number in range(3):
        notebook.run(f"%%cachedsql db --name n{number}\nSELECT {number} AS n FROM flights")
    notebook.run("%cachedsql invalidate --name n0")
    assert notebook.shown == "invalidated 1 entry"
    notebook.run("%cachedsql invalidate")
    assert notebook.shown == "invalidated 2 entries"
    notebook.run("%cachedsql info n1")
    assert "fresh       no longer; it was invalidated " in notebook.shown
    notebook.run("%%cachedsql db --ttl forever\nSELECT 1 AS n FROM flights")
    assert notebook.shown.startswith("miss: invalidated just now · ")
    notebook.run("%cachedsql invalidate --table FLIGHTS")
    assert notebook.shown == "invalidated 1 entry"
    key = notebook.run("%cachedsql list")["key"][0]
    notebook.run(f"%cachedsql invalidate {key}")
    assert notebook.shown == "nothing to invalidate"
    assert "see %cachedsql list" in fault_of(notebook, "%cachedsql invalidate nowhere")
    notebook.run("%cachedsql clear --tag table:flights")
    assert notebook.shown.startswith("removed 3 entries")
    assert len(executed) == 4


def test_invalidate_bare_means_what_this_kernel_has_used(notebook: Notebook, database: Path) -> None:
    notebook.run("%%cachedsql db\nSELECT 1 AS n FROM flights")
    with QueryCache() as another:
        another.read("select 2 as n", f"sqlite:///{database}")
    notebook.run("%cachedsql invalidate")
    assert notebook.shown == "invalidated 1 entry"
    notebook.run("%cachedsql invalidate --all")
    assert notebook.shown == "invalidated 1 entry"


def test_info_says_how_long(notebook: Notebook) -> None:
    notebook.run(DAYS.format("--name days"))
    notebook.run("%cachedsql info days")
    assert "fresh       for 1 h at most, until " in notebook.shown
    assert "it asks for the time" in notebook.shown


def test_what_was_stored_with_a_ttl_keeps_it(notebook: Notebook) -> None:
    notebook.run(DAYS.format("--ttl 30m"))
    notebook.run("%config CachedSQLMagics.ttl = 0")
    notebook.run(DAYS.format(""))
    assert notebook.shown.startswith("hit · ")


def test_a_stale_answer_where_only_the_validator_decides(notebook: Notebook, database: Path) -> None:
    notebook.run("%%cachedsql db --ttl forever\nSELECT * FROM flights")
    with closing(sqlite3.connect(database)) as con, con:
        con.execute("delete from flights where id = 1")
    assert len(notebook.run("%%cachedsql db --validate false\nSELECT * FROM flights")) == 4
    assert "hit · " in notebook.shown
    assert len(notebook.run("%%cachedsql db --validate file\nSELECT * FROM flights")) == 3


def test_options_that_cannot_be_had(notebook: Notebook, executed: list[str]) -> None:
    both = "%%cachedsql db --refresh --offline\nSELECT * FROM flights"
    assert fault_of(notebook, both) == "refresh asks the database: it cannot be had with offline"
    unknown = "%%cachedsql db --validate nobody\nSELECT * FROM flights"
    assert "no validator of that name is installed (there are file" in fault_of(notebook, unknown)
    assert executed == []


def test_what_needs_the_database_is_refused_offline(notebook: Notebook, executed: list[str]) -> None:
    write = "%%cachedsql db --write {}\nDELETE FROM flights"
    assert fault_of(notebook, write.format("--offline")) == "offline: nothing is written, and nothing was run"
    several = "%%cachedsql db --offline\nSELECT * FROM flights; SELECT id FROM flights"
    assert "only the last is cached" in fault_of(notebook, several)
    notebook.run("%config CachedSQLMagics.offline = True")
    assert fault_of(notebook, write.format("")).startswith("offline: nothing is written")
    assert executed == []


def test_info_and_list_say_a_ttl_in_words(notebook: Notebook) -> None:
    for ttl in ("today", "session", "30m", "forever"):
        notebook.run(f"%%cachedsql db --ttl {ttl} --name {ttl}\nSELECT datetime('now'), '{ttl}' FROM flights")
    notebook.run("%%cachedsql db --name none\nSELECT * FROM flights")
    table = notebook.run("%cachedsql list")
    assert dict(zip(table["name"], table["ttl"], strict=True)) == {
        "today": "today",
        "session": "session",
        "30m": "30 min",
        "forever": "forever",
        "none": "",
    }
    notebook.run("%cachedsql info none")
    assert "validators  file\n" in notebook.shown
    assert "validated " not in notebook.shown


# --- %config --------------------------------------------------------------------------------------


CONFIG = "%config CachedSQLMagics.{} = {!r}"


@pytest.fixture
def default(notebook: Notebook) -> QueryCache:
    """The cache that a notebook uses."""
    return api.default_cache()


@pytest.mark.parametrize(
    ("name", "bad", "accepted"),
    [
        (
            "ttl",
            "soon",
            'give seconds, a timedelta, "90s", "5m", "1h", "7d", "today", "session" or "forever"',
        ),
        ("refresh", "yes", "neither True nor False"),
        ("no_store", "yes", "neither True nor False"),
        ("offline", "yes", "neither True nor False"),
        ("stale_while_revalidate", "forever", 'not a bounded time: give seconds, a timedelta, "90s"'),
        ("stale_if_error", [], 'not a bounded time: give seconds, a timedelta, "90s"'),
        ("validate", 3, 'give "auto", True, False, a query of your own'),
    ],
)
def test_a_bad_value_of_config_is_one_line(
    notebook: Notebook, caplog: pytest.LogCaptureFixture, name: str, bad: object, accepted: str
) -> None:
    notebook.run(CONFIG.format(name, bad))  # IPython only logs it
    (record,) = caplog.records
    assert accepted in record.getMessage()
    assert "\n" not in record.getMessage()
    assert notebook.run(f"%config CachedSQLMagics.{name}") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ttl", "30m"),
        ("refresh", True),
        ("no_store", True),
        ("offline", True),
        ("stale_while_revalidate", 90),
        ("stale_if_error", "1d"),
        ("validate", False),
    ],
)
def test_config_holds_at_once_and_none_takes_it_back(
    notebook: Notebook, default: QueryCache, name: str, value: object
) -> None:
    before = default.policy
    notebook.run(CONFIG.format(name, value))
    assert getattr(default.policy_in_force, name) == value
    assert default.policy is before
    notebook.run(CONFIG.format(name, None))
    assert default.policy_in_force is before


def test_the_plain_function_obeys_config_before_any_magic(notebook: Notebook, executed: list[str]) -> None:
    notebook.run("%config CachedSQLMagics.no_store = True")  # and before there is a cache
    notebook.run("from sqlcache_nb import cached_read_sql")
    read = "frame = cached_read_sql('SELECT * FROM flights', db)"
    for _ in range(2):
        notebook.run(read)
        assert notebook.shown.startswith("not cached: no_store was given")
    notebook.run("%config CachedSQLMagics.no_store = None")
    for outcome in ("miss: first time", "hit"):
        notebook.run(read)
        assert notebook.shown.startswith(outcome)
    assert executed.count("SELECT * FROM flights") == 3


def test_config_comes_before_the_caches_own_policy_and_leaves_it(
    notebook: Notebook, default: QueryCache
) -> None:
    default.policy = Policy(ttl="1h", stale_if_error="1d")
    notebook.run("%config CachedSQLMagics.ttl = '7d'")
    assert (default.policy_in_force.ttl, default.policy_in_force.stale_if_error) == ("7d", "1d")
    default.policy = mine = Policy(ttl="2h", offline=True)
    notebook.run("%config CachedSQLMagics.quiet = True")
    notebook.run("%cachedsql list")
    assert default.policy is mine
    assert (default.policy_in_force.ttl, default.policy_in_force.offline) == ("7d", True)
    notebook.run("%config CachedSQLMagics.ttl = None")
    assert default.policy_in_force is mine


def test_config_comes_before_the_environment(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLCACHE_NB_OFFLINE", "1")
    assert api.default_cache().policy_in_force.offline is True
    notebook.run("%config CachedSQLMagics.offline = False")
    assert api.default_cache().policy_in_force.offline is False
    notebook.run("%config CachedSQLMagics.offline = None")
    assert api.default_cache().policy_in_force.offline is True


def test_what_is_typed_comes_before_config(notebook: Notebook, executed: list[str]) -> None:
    notebook.run("%config CachedSQLMagics.refresh = True")
    for _ in range(2):
        notebook.run("%%cachedsql db\nSELECT * FROM flights")
        assert notebook.shown.startswith("refreshed · ")
    notebook.run("%%cachedsql db --no-store\nSELECT * FROM flights")
    assert notebook.shown.startswith("not cached: ")
    assert len(executed) == 3


def test_offline_and_refresh_of_config_may_both_be_set(notebook: Notebook, default: QueryCache) -> None:
    notebook.run("%config CachedSQLMagics.refresh = True")
    notebook.run("%config CachedSQLMagics.offline = True")
    assert (default.policy_in_force.offline, default.policy_in_force.refresh) == (True, False)
    notebook.run("%config CachedSQLMagics.offline = None")
    assert (default.policy_in_force.offline, default.policy_in_force.refresh) == (None, True)


PLAIN_REFRESH = """\
from sqlalchemy import text
from sqlcache_nb import cached_read_sql
frame = cached_read_sql(text("SELECT * FROM flights"), db, refresh=True)"""


def test_a_refresh_in_an_offline_notebook_says_that_it_gives_way(
    notebook: Notebook, executed: list[str]
) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%config CachedSQLMagics.offline = True")
    for cell in (
        "%%cachedsql db --refresh\nSELECT * FROM flights",
        PLAIN_REFRESH,
    ):
        notebook.run(cell)
        assert " · not refreshed while offline · " in notebook.shown
    assert len(executed) == 1


def test_config_shows_all_settings(notebook: Notebook) -> None:
    notebook.run("%config CachedSQLMagics.ttl = 'today'")
    notebook.run("%config CachedSQLMagics")
    for name in (*(each.name for each in fields(Policy)), "quiet"):
        told = notebook.shown.split(f"CachedSQLMagics.{name}=<")[1]
        assert re.match(r"(Option|Bool)>\n    [A-Z]", told), name
    assert "Current: 'today'" in notebook.shown


def test_a_configuration_file_of_ipython(isolated: Path) -> None:
    (isolated / "ipython" / "profile_default").mkdir(parents=True)
    (isolated / "ipython" / "profile_default" / "ipython_config.py").write_text(
        "c.CachedSQLMagics.offline = True\nc.InteractiveShellApp.extensions = ['sqlcache_nb']\n"
        "c.HistoryManager.enabled = False\n"
    )
    code = "from sqlcache_nb import default_cache; print(default_cache().policy_in_force.offline)"
    run = subprocess.run(
        [sys.executable, "-m", "IPython", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "True"


def test_unloading_leaves_the_cache_to_its_own_policy(notebook: Notebook, default: QueryCache) -> None:
    notebook.run("%config CachedSQLMagics.offline = True")
    unload_ipython_extension(notebook.shell)
    assert default.policy_in_force is default.policy
    load_ipython_extension(notebook.shell)
    assert default.policy_in_force.offline is True  # IPython remembers its settings


def test_the_documentation(notebook: Notebook) -> None:
    told = notebook.shell.object_inspect_mime("%%cachedsql")["text/plain"]
    for word in (
        "CON",
        "--ttl",
        "--refresh",
        "--no-store",
        "--offline",
        "--stale-while-revalidate",
        "--stale-if-error",
        "--validate",
        "--params",
        "--quiet",
        "--write",
        "connect ALIAS",
    ):
        assert word in told


def test_the_line_is_small_and_grey_in_a_browser(notebook: Notebook, shell: InteractiveShell) -> None:
    from sqlcache_nb.notebook.display import Note

    formatter = shell.display_formatter
    assert formatter is not None
    data, _ = formatter.format(Note("a < b"))
    assert data["text/plain"] == "a < b"
    assert "a &lt; b" in data["text/html"]


def test_a_directory_of_a_pyproject_is_announced_once(
    notebook: Notebook, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SQLCACHE_NB_DIR")
    (isolated / "pyproject.toml").write_text('[tool.sqlcache_nb]\ndir = "answers"\n')
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert "pyproject.toml" in notebook.shown
    assert (isolated / "answers").is_dir()
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    assert "pyproject.toml" not in notebook.shown


@pytest.fixture
def broken(isolated: Path) -> Iterator[Path]:
    """The cache directory as a file, so that it cannot be used."""
    (isolated / "cache").write_text("")
    yield isolated
    (isolated / "cache").chmod(stat.S_IRWXU)


def test_a_cache_that_cannot_be_used_costs_one_line(notebook: Notebook, broken: Path) -> None:
    assert len(notebook.run("%%cachedsql db\nSELECT * FROM flights")) == 4
    assert "not cached: " in notebook.shown
    assert len(notebook.shown.strip().splitlines()) <= 8  # two lines, and the frame as text
    assert "cachedsql" not in fault_of(notebook, "%cachedsql list")


def test_unload_and_load_again(shell: InteractiveShell) -> None:
    unload_ipython_extension(shell)
    known = shell.magics_manager.magics
    assert "cachedsql" not in known["cell"].keys() | known["line"].keys()
    assert not any(type(each).__name__ == "CachedSQLMagics" for each in shell.configurables)
    load_ipython_extension(shell)
    assert "cachedsql" in known["cell"].keys() & known["line"].keys()


def test_engines_made_for_urls_are_closed(
    notebook: Notebook, shell: InteractiveShell, database: Path
) -> None:
    notebook.run(f"%%cachedsql sqlite:///{database}\nSELECT * FROM flights")
    engine = next(iter(shell.magics_manager.registry["CachedSQLMagics"]._connections._engines.values()))
    unload_ipython_extension(shell)
    assert engine.pool.checkedin() == 0
    load_ipython_extension(shell)


def test_two_engines_of_one_database_share_answers(notebook: Notebook, database: Path) -> None:
    other = create_engine(f"sqlite:///{database}")
    notebook["other"] = other
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%%cachedsql other\nSELECT * FROM flights")
    assert notebook.shown.startswith("hit")
    other.dispose()


def test_a_drivers_own_connection(notebook: Notebook) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as duck:
        notebook["duck"], notebook["ns"] = duck, [1, 2]
        frame = notebook.run("%%cachedsql duck\nSELECT [1, 2, 3][:2] AS a WHERE 1 IN :ns")
        assert [list(items) for items in frame["a"]] == [[1, 2]]
        assert notebook.shown.startswith("not cached: a raw connection of duckdb")


@pytest.fixture
def server(notebook: Notebook, postgresql_url: str) -> Iterator[Notebook]:
    """The notebook with a PostgreSQL engine in `pg`, and a table there."""
    pg = notebook["pg"] = create_engine(postgresql_url)
    notebook.run(
        "%%cachedsql pg --write\nCREATE TABLE IF NOT EXISTS orders (id int, note text, tags int[], more jsonb)"
    )
    notebook.run("%%cachedsql pg --write\nTRUNCATE orders")
    rows = """(1, 'a:b%', '{1,2}', '{"k": 1}'), (2, 'c', '{3}', '{"k": 2}')"""
    notebook.run(f"%%cachedsql pg --write\nINSERT INTO orders VALUES {rows}")
    assert notebook.shown.startswith("written: 2 rows · ")
    yield notebook
    pg.dispose()


@pytest.mark.server
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id FROM orders WHERE id IN :ids AND note LIKE '%:%'", [[1]]),
        ("SELECT id FROM orders WHERE id = ANY(:ids)", [[1], [2]]),
        ("SELECT id FROM orders WHERE id IN (:none) OR note IN :none", []),
        ("SELECT id FROM orders WHERE id NOT IN :none AND note NOT IN (:none)", [[1], [2]]),
        (
            "SELECT more->:key, :text::int + 1, more ? :key, tags[1:1] FROM orders LIMIT 1",
            [[1, 6, True, [1]]],
        ),
        ("SELECT $$ :no $$, E'\\':no', '12:30'::time::text /* /* */ :no */", [[" :no ", "':no", "12:30:00"]]),
    ],
)
def test_postgresql(server: Notebook, sql: str, expected: list[list[object]]) -> None:
    server.run("ids, none, key, text = [1, 2], [], 'k', '5'")
    assert server.run(f"%%cachedsql pg\n{sql}").to_numpy().tolist() == expected


@pytest.mark.server
@pytest.mark.parametrize(
    "sql", ["VACUUM orders", "ANALYZE", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (id)"]
)
def test_upkeep_of_postgresql(server: Notebook, sql: str) -> None:
    server.run(f"%%cachedsql pg --write\n{sql}")
    assert server.shown.startswith("written")
    assert len(server.run("%%cachedsql pg\nSELECT * FROM orders")) == 2


@pytest.mark.server
def test_a_value_that_postgresql_cannot_bind(server: Notebook) -> None:
    server.run("thing = 1j")
    fault = fault_of(server, "%%cachedsql pg\nSELECT :thing")
    assert fault.startswith(":thing is a complex, which psycopg")


@pytest.mark.server
def test_faults_of_postgresql(server: Notebook) -> None:
    first, second = fault_of(server, "%%cachedsql pg\nSELECT idd FROM orders").splitlines()
    assert first.startswith('column "idd" does not exist · ')
    assert second.startswith("HINT: ")


def test_an_adbc_connection(notebook: Notebook, database: Path) -> None:
    dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi")
    with dbapi.connect(str(database)) as adbc:
        notebook["adbc"] = adbc
        assert len(notebook.run("%%cachedsql adbc\nSELECT * FROM flights WHERE carrier <> ':no'")) == 4
        assert "flights.db" in notebook.shown
        notebook["n"] = 1
        fault = fault_of(notebook, "%%cachedsql adbc\nSELECT * FROM flights WHERE id = :n")
        assert fault.startswith("parameters need an engine")


def test_loading_the_extension_loads_nothing_heavy(shell: InteractiveShell) -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance().run_line_magic('load_ext', 'sqlcache_nb')\n"
        "print(sorted({'pandas', 'sqlalchemy', 'pyarrow', 'diskcache', 'sqlglot'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# --- why --------------------------------------------------------------------------------------------------------


def test_a_miss_says_what_the_nearest_question_had_otherwise(notebook: Notebook) -> None:
    notebook["carrier"] = "AA"
    notebook.run("%%cachedsql db\nSELECT * FROM flights WHERE carrier = :carrier")
    notebook["carrier"] = "UA"
    notebook.run("%%cachedsql db\nSELECT * FROM flights WHERE carrier = :carrier")
    assert notebook.shown.startswith(
        "miss: same SQL, :carrier was 'AA', is 'UA' · flights.db · 2 x 4 · took "
    )


@pytest.mark.parametrize(
    "cell",
    [
        "%%cachedsql why db\nSELECT * FROM flights WHERE carrier = :carrier",
        "%cachedsql why db SELECT * FROM flights WHERE carrier = :carrier",
        "%cachedsql why --ttl 1h db SELECT * FROM flights WHERE carrier = :carrier",
    ],
)
def test_why_says_what_would_happen_and_runs_nothing(
    notebook: Notebook, executed: list[str], cell: str
) -> None:
    notebook["carrier"] = "AA"
    assert notebook.run(cell) is None
    assert notebook.shown.strip() == "miss: first time; no stored answer is to SQL like this"
    notebook.run("%%cachedsql db\nSELECT * FROM flights WHERE carrier = :carrier")
    notebook.run(cell)
    assert notebook.shown.startswith("hit · fetched ")
    assert " · file unchanged (exact) · " in notebook.shown
    notebook["carrier"] = "UA"
    notebook.run(cell)
    assert notebook.shown.startswith(
        "miss: same SQL, :carrier was 'AA', is 'UA' · nearest: flights.db, fetched "
    )
    assert len(executed) == 1


def test_why_of_a_write_is_a_refusal_and_writes_nothing(notebook: Notebook, executed: list[str]) -> None:
    notebook.run("%cachedsql why db DELETE FROM flights")
    assert notebook.shown.strip() == "refused: the statement is not a read"
    assert executed == []
    assert (
        fault_of(notebook, "%cachedsql why db --write DELETE FROM flights")
        == "why runs nothing: leave --write out"
    )
    assert "leave out << out" in fault_of(notebook, "%%cachedsql why db out <<\nSELECT 1")


def test_why_is_shown_also_where_lines_are_not(notebook: Notebook) -> None:
    notebook.run("%config CachedSQLMagics.quiet = True")
    notebook.run("%cachedsql why db SELECT 1")
    assert notebook.shown.startswith("miss: ")
