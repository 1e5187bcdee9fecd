"""Several statements in one cell: where each ends, and what becomes of their results."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.awaited import AwaitedLine
from sqlcache_nb.notebook.statements import split
from tests.notebook.conftest import Notebook

TRIGGER = """create trigger seen after insert on flights begin
    update flights set delay = case when new.delay < 0 then 0 else new.delay end where id = new.id;
    delete from flights where id = 4;
end"""


@pytest.mark.parametrize(
    ("dialect", "sql", "statements"),
    [
        ("", "select 1", ("select 1",)),
        ("", " select 1; ", (" select 1; ",)),
        ("", "select 1;-- that is all", ("select 1;-- that is all",)),
        ("", "", ()),
        ("", ";;", ()),
        ("", "-- nothing; at all", ()),
        ("", "select 1;; select 2;", ("select 1", "select 2")),
        ("", "select ';'; select \";\"", ("select ';'", 'select ";"')),
        ("", "select 1; -- a;b\nselect 2 /* ; */", ("select 1", "-- a;b\nselect 2 /* ; */")),
        ("mysql", r"select 'a\';b'; select 2 # ;", (r"select 'a\';b'", "select 2 # ;")),
        ("sqlite", r"select '\'; select 2", (r"select '\'", "select 2")),
        ("sqlite", f"{TRIGGER}; select 1", (TRIGGER, "select 1")),
        ("sqlite", "begin; delete from t; end", ("begin", "delete from t", "end")),
        ("sqlite", "begin immediate; commit", ("begin immediate", "commit")),
        ("sqlite", "begin work; end;", ("begin work; end;",)),
        ("postgresql", "begin work; end", ("begin work", "end")),
        ("postgresql", "do $$ begin a; b; end $$; select 1", ("do $$ begin a; b; end $$", "select 1")),
        ("postgresql", "select $x$;$x$; select 1", ("select $x$;$x$", "select 1")),
        (
            "postgresql",
            "select case when a then 1 end; select 2",
            ("select case when a then 1 end", "select 2"),
        ),
        (
            "postgresql",
            "create function f() returns int begin atomic; select 1; end; select f()",
            ("create function f() returns int begin atomic; select 1; end", "select f()"),
        ),
        (
            "mysql",
            "create procedure p() begin if a then b; end if; case a when 1 then b; end case; end; call p()",
            (
                "create procedure p() begin if a then b; end if; case a when 1 then b; end case; end",
                "call p()",
            ),
        ),
        (
            "oracle",
            "declare x int; begin f(x); end; select 1",
            ("declare x int; begin f(x); end", "select 1"),
        ),
        ("sqlite", "create trigger x begin select 1;", ("create trigger x begin select 1;",)),
    ],
)
def test_where_a_statement_ends(dialect: str, sql: str, statements: tuple[str, ...]) -> None:
    assert split(sql, dialect) == statements


@given(st.lists(st.sampled_from(["select 1", "select ';'", "/* ; */ t", '";"', "values (1)"]), min_size=2))
def test_what_is_joined_is_split_again(statements: list[str]) -> None:
    assert split(";\n".join(statements)) == tuple(statements)


@given(st.text(alphabet="abegindcs;'\"-/*$ \n"), st.sampled_from(["", "sqlite", "mysql", "oracle"]))
def test_no_letter_of_code_is_lost(sql: str, dialect: str) -> None:
    pieces = split(sql, dialect)
    assert all(piece in sql for piece in pieces)
    if len(pieces) == 1:
        assert pieces == (sql,)


def fault_of(notebook: Notebook, cell: str) -> str:
    with pytest.raises(NotebookError) as fault:
        notebook.run(cell)
    assert len(str(fault.value).splitlines()) <= 2
    return str(fault.value)


def rows(database: Path, sql: str = "select count(*) from flights") -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as con:
        return con.execute(sql).fetchall()


# --- reads --------------------------------------------------------------------------------------------

READS = "%%cachedsql db\nSELECT max(delay) AS most FROM flights;\nSELECT id FROM flights WHERE carrier = :carrier;"


def test_each_result_is_shown_and_the_last_is_cached(notebook: Notebook, executed: list[str]) -> None:
    notebook["carrier"] = "UA"
    assert notebook.run(READS)["id"].tolist() == [1, 3]
    lines = notebook.shown.splitlines()
    assert lines[0].startswith(
        "not cached: of several statements only the last is cached · flights.db · 1 x 1"
    )
    assert lines[1:3] == ["   most", "0    33"]
    assert lines[3].startswith("miss: first time · flights.db · 2 x 1")
    assert notebook.run(READS)["id"].tolist() == [1, 3]
    assert notebook.shown.splitlines()[3].startswith("hit · ")
    assert len(executed) == 3


def test_the_last_is_the_same_question_as_alone(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT id FROM flights")
    notebook.run("%%cachedsql db\nSELECT 1;\nSELECT id FROM flights;")
    assert "\nhit · " in notebook.shown


def test_quiet_hides_lines_and_no_result(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db last << --quiet\nSELECT 7 AS seven; SELECT 8 AS eight")
    assert notebook.shown.splitlines() == ["   seven", "0      7"]
    assert notebook["last"]["eight"].tolist() == [8]


def test_chance_is_kept_if_asked(notebook: Notebook, executed: list[str]) -> None:
    sql = "SELECT id, random() AS dice FROM flights"
    notebook.run(f"%%cachedsql db\n{sql}")
    assert notebook.shown.startswith("not cached: the statement calls random, ")
    assert "--store-random" in notebook.shown
    first = notebook.run(f"%%cachedsql db --store-random\n{sql}")
    assert "miss: first time · left to chance · flights.db" in notebook.shown
    again = notebook.run(f"%%cachedsql db --store-random\n{sql}")
    assert notebook.shown.startswith("hit · ")
    assert again.equals(first)
    assert len(executed) == 2


def test_on_one_line(notebook: Notebook) -> None:
    notebook.run("%cachedsql connect here db")
    assert notebook.run("%cachedsql SELECT 1 AS a; SELECT 2 AS b")["b"].tolist() == [2]
    assert "   a" in notebook.shown


def test_after_what_acts_nothing_is_cached(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT changes() AS n; SELECT id FROM flights")
    assert "not cached: a statement before it may change the answer" in notebook.shown
    assert len(notebook.run("%cachedsql list")) == 0


def test_info_among_reads(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nPRAGMA table_info(flights); SELECT id FROM flights")
    assert "carrier" in notebook.shown
    assert "miss: first time" in notebook.shown


def test_on_a_connection_and_a_driver(notebook: Notebook, engine: Engine, database: Path) -> None:
    with engine.connect() as connection, closing(sqlite3.connect(database)) as raw:
        notebook["connection"], notebook["raw"] = connection, raw
        for name in ("connection", "raw"):
            frame = notebook.run(f"%%cachedsql {name}\nSELECT 1; SELECT count(*) AS n FROM flights")
            assert frame["n"].tolist() == [4]


# --- why, and what is awaited ----------------------------------------------------------------------------


def test_why_speaks_of_the_last(notebook: Notebook, executed: list[str]) -> None:
    cell = "SELECT * FROM flights; SELECT id FROM flights WHERE carrier = :carrier"
    notebook["carrier"] = "AA"
    notebook.run(f"%%cachedsql db\n{cell}")
    notebook.run(f"%%cachedsql why db\n{cell}")
    assert notebook.shown.startswith("hit · fetched ")
    notebook["carrier"] = "UA"
    notebook.run(f"%%cachedsql why db\n{cell}")
    assert notebook.shown.startswith("miss: same SQL, :carrier was 'AA', is 'UA' · nearest: ")
    assert len(executed) == 2
    notebook.run(f"%%cachedsql db\n{cell}")
    assert "\nmiss: same SQL, :carrier was 'AA', is 'UA' · flights.db · " in notebook.shown


@pytest.mark.parametrize("first", ["DELETE FROM flights", "SELECT changes()"])
def test_why_behind_what_acts_is_a_refusal(notebook: Notebook, executed: list[str], first: str) -> None:
    notebook.run(f"%%cachedsql why db\n{first}; SELECT * FROM flights")
    assert notebook.shown.strip() == "refused: a statement before the last may change its answer"
    assert executed == []


def test_why_of_what_is_left_to_chance(notebook: Notebook) -> None:
    notebook.run("%cachedsql why db SELECT random()")
    assert notebook.shown.startswith("refused: the statement calls random")
    notebook.run("%cachedsql why --store-random db SELECT random()")
    assert notebook.shown.startswith("miss: ")


def test_why_of_what_was_invalidated(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db\nSELECT * FROM flights")
    notebook.run("%cachedsql invalidate --table flights")
    notebook.run("%cachedsql why db SELECT * FROM flights")
    assert notebook.shown.startswith("stale: invalidated just now · fetched ")


def test_of_several_only_the_last_is_awaited(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    awaited: list[str] = []
    monkeypatch.setattr(AwaitedLine, "expect", lambda _line, told: awaited.append(told))
    notebook.run("%%cachedsql db\nSELECT * FROM flights; SELECT id FROM flights")
    assert awaited == ["miss: first time · flights.db"]
    notebook.run("%cachedsql invalidate")
    notebook.run("%%cachedsql db\nSELECT * FROM flights; SELECT id FROM flights")
    assert awaited[1:] == ["miss: invalidated just now · flights.db"]


# --- what is refused, before anything runs --------------------------------------------------------------


def test_a_write_among_them_needs_its_option(notebook: Notebook, executed: list[str]) -> None:
    assert fault_of(notebook, "%%cachedsql db\nSELECT * FROM flights; DELETE FROM flights") == (
        "statement 2 of 2 does more than read: nothing was run; add --write to run and commit each by itself"
    )
    assert executed == []


def test_write_without_a_write(notebook: Notebook, executed: list[str]) -> None:
    assert "leave it out" in fault_of(notebook, "%%cachedsql db --write\nSELECT * FROM flights; SELECT 2")
    assert executed == []


def test_a_write_at_the_end_has_no_frame(notebook: Notebook, executed: list[str]) -> None:
    fault = fault_of(notebook, "%%cachedsql db out << --write\nSELECT * FROM flights; DELETE FROM flights")
    assert "a write has no result that out could hold" in fault
    assert executed == []


@pytest.mark.parametrize("options", ["", "--write"])
def test_what_cannot_be_understood_has_a_cell_of_its_own(notebook: Notebook, options: str) -> None:
    fault = fault_of(notebook, f"%%cachedsql db {options}\nselekt 1; SELECT 2")
    assert fault.startswith("statement 1 of 2 cannot be understood: give it a cell of its own")


def test_a_transaction_is_not_pretended(notebook: Notebook, executed: list[str]) -> None:
    fault = fault_of(notebook, "%%cachedsql db --write\nBEGIN; DELETE FROM flights; ROLLBACK")
    assert "--write commits each statement by itself" in fault
    assert executed == []


def test_a_value_that_is_missing(notebook: Notebook, executed: list[str]) -> None:
    assert ":nobody is not defined" in fault_of(notebook, "%%cachedsql db\nSELECT 1; SELECT :nobody")
    assert executed == []


# --- writes ----------------------------------------------------------------------------------------------


def test_writes_run_in_their_order_and_are_committed(notebook: Notebook, database: Path) -> None:
    cell = """%%cachedsql db --write
DELETE FROM flights WHERE id > 2;
INSERT INTO flights VALUES (9, 'XX', 'EWR', 1);
SELECT id FROM flights;"""
    assert notebook.run(cell)["id"].tolist() == [1, 2, 9]
    lines = notebook.shown.splitlines()
    assert lines[:2] == ["written: 2 rows · flights.db", "written: 1 row · flights.db"]
    assert lines[2].startswith("not cached: a statement before it may change the answer · flights.db · 3 x 1")
    assert rows(database) == [(3,)]
    assert len(notebook.run("%cachedsql list")) == 0


def test_what_a_write_returns_is_not_lost(notebook: Notebook, database: Path) -> None:
    cell = """%%cachedsql db out << --write
UPDATE flights SET delay = 0 WHERE id = 1 RETURNING id;
INSERT INTO flights VALUES (9, 'XX', 'EWR', 1) RETURNING id, delay"""
    notebook.run(cell)
    assert notebook["out"].to_dict("list") == {"id": [9], "delay": [1]}
    assert rows(database, "select delay from flights where id in (1, 9)") == [(0,), (1,)]
    assert "written: 1 row · flights.db" in notebook.shown
    frame = notebook.run("%%cachedsql db --write\nDELETE FROM flights WHERE id = 9 RETURNING carrier")
    assert frame["carrier"].tolist() == ["XX"]


def test_a_temporary_table_is_seen_by_what_follows(notebook: Notebook) -> None:
    cell = """%%cachedsql db mine << --write
CREATE TEMP TABLE late AS SELECT * FROM flights WHERE delay > 30;
SELECT id FROM late"""
    notebook.run(cell)
    assert notebook["mine"]["id"].tolist() == [2]


def test_a_trigger_is_one_statement(notebook: Notebook, database: Path) -> None:
    assert "--write" in fault_of(notebook, f"%%cachedsql db\n{TRIGGER}")
    notebook.run(f"%%cachedsql db --write\n{TRIGGER}")
    notebook.run("%%cachedsql --write\nINSERT INTO flights VALUES (9, 'XX', 'EWR', -1)")
    assert rows(database, "select id, delay from flights where id in (4, 9)") == [(9, 0)]


def test_a_failure_says_which_and_stops(notebook: Notebook, database: Path) -> None:
    cell = (
        "%%cachedsql db --write\nDELETE FROM flights WHERE id = 1; SELECT * FROM missing; DELETE FROM flights"
    )
    fault = fault_of(notebook, cell)
    assert fault.startswith("statement 2 of 3: ")
    assert "missing" in fault
    assert "written: 1 row" in notebook.shown
    assert rows(database) == [(3,)]


@pytest.fixture
def server(postgresql_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.mark.server
def test_on_a_server(notebook: Notebook, server: Engine) -> None:
    notebook["server"] = server
    cell = """%%cachedsql server --write
CREATE TEMP TABLE mine (a int, b text);
INSERT INTO mine VALUES (1, 'x;y'), (2, $$begin; end$$);
SELECT a FROM mine WHERE b LIKE '%;%'"""
    assert notebook.run(cell)["a"].tolist() == [1, 2]
    assert "written: 2 rows" in notebook.shown
    assert notebook.run("%%cachedsql server\nSELECT 1 AS a; SELECT 2 AS a")["a"].tolist() == [2]
