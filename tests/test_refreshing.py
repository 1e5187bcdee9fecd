"""A stale answer at once, and a new one behind it: stale_while_revalidate."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.errors import DatabaseError
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import AssertionPool, QueuePool, StaticPool

from sqlcache_nb import Outcome, QueryCache, Reason, Result
from sqlcache_nb.refreshing import MOST, Refreshes, is_behind
from tests.conftest import Clock, Statements
from tests.gate import QUERY, Gate

FAULTS = (DatabaseError, OperationalError)
"""What pandas raises, and what older ones let pass."""

SOON = 60
"""Seconds after which a test that hangs is ended."""


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sqlcache_nb")


@pytest.fixture
def stale(cache: QueryCache, sales: Engine, clock: Clock, write: Callable[[str], None]) -> pd.DataFrame:
    """What was stored two minutes before, and is no longer what the database would answer."""
    frame: pd.DataFrame = cache.read(QUERY, sales).frame
    clock.forward(minutes=2)
    write("delete from sales where id > 3")
    return frame


def ask(cache: QueryCache, con: Any, sql: Any = QUERY, **options: Any) -> Result:
    return cache.read(sql, con, **{"stale_while_revalidate": "5m"} | options)


def refreshed(result: Result) -> Result | None:
    """The new answer, once it is there."""
    assert result.refreshing is not None
    return result.refreshing.result(SOON)


class TestTheOldAnswer:
    def test_comes_at_once_and_the_new_one_behind_it(
        self,
        cache: QueryCache,
        sales: Engine,
        stale: pd.DataFrame,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        gate = Gate(sales)
        frame = cache.read_sql(QUERY, sales, stale_while_revalidate="5m")
        pd.testing.assert_frame_equal(frame, stale)
        result = ask(cache, sales)
        assert (result.outcome, result.reason) == (Outcome.STALE, Reason.FILE_CHANGED)
        assert caplog.messages[0].startswith("stale · fetched ")
        assert " · file changed · refreshing in the background · sales.db · 6 x 4 · " in caplog.messages[0]
        gate.open.set()
        new = refreshed(result)
        assert new is not None
        assert len(new.frame) == 3
        assert new.outcome is Outcome.REFRESHED
        assert caplog.messages[-1].startswith(
            "refreshed · in the background: ask again to have it · 3 rows (-3) · "
        )
        again = ask(cache, sales)
        assert (again.outcome, again.refreshing, len(again.frame), gate.count) == (Outcome.HIT, None, 3, 1)

    def test_of_a_url(self, cache: QueryCache, sales: Engine, sales_db: Path, stale: pd.DataFrame) -> None:
        result = ask(cache, f"sqlite:///{sales_db}")
        assert result.outcome is Outcome.STALE
        assert refreshed(result) is not None

    @pytest.mark.usefixtures("stale")
    def test_in_chunks(self, cache: QueryCache, sales: Engine, write: Callable[[str], None]) -> None:
        list(cache.read(QUERY, sales, chunksize=2).frame)
        write("delete from sales where id > 2")
        result = ask(cache, sales, chunksize=2)
        assert (result.outcome, [len(chunk) for chunk in result.frame]) == (Outcome.STALE, [2, 1])
        refreshed(result)
        again = ask(cache, sales, chunksize=2)
        assert (again.outcome, [len(chunk) for chunk in again.frame]) == (Outcome.HIT, [2])

    def test_of_before_is_not_asked_for_with_a_value_that_changes(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        question, params = text(f"{QUERY} where id in (:one, :other)"), {"one": 1, "other": 2}
        cache.read(question, sales, params=params, validate=False, ttl=60)
        clock.forward(minutes=2)
        gate = Gate(sales)
        result = cache.read(question, sales, params=params, validate=False, stale_while_revalidate="5m")
        assert gate.came.acquire(timeout=SOON)
        params["one"] = 3
        gate.open.set()
        new = refreshed(result)
        assert new is not None
        assert new.frame["id"].tolist() == [1, 2]
        assert result.entry is not None
        assert new.entry is not None
        assert new.entry.key == result.entry.key

    def test_of_before_is_not_asked_for_with_options_that_change(
        self, cache: QueryCache, sales: Engine, clock: Clock
    ) -> None:
        options: dict[str, Any] = {"parse_dates": ["day"], "dtype": {"id": "float64"}, "validate": False}
        before = cache.read(QUERY, sales, **options, ttl=60).frame
        clock.forward(minutes=2)
        gate = Gate(sales)
        result = ask(cache, sales, **options)
        assert gate.came.acquire(timeout=SOON)
        options["parse_dates"].clear()
        options["dtype"].clear()
        gate.open.set()
        new = refreshed(result)
        assert new is not None
        assert new.frame.dtypes.equals(before.dtypes)

    def test_with_a_value_that_cannot_be_copied(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        question, params = text(f"{QUERY} where region <> :region"), {"region": memoryview(b"north")}
        cache.read(question, sales, params=params, validate=False, ttl=60)
        clock.forward(minutes=2)
        assert refreshed(ask(cache, sales, sql=question, params=params, validate=False)) is not None

    def test_counts_as_a_hit(self, cache: QueryCache, sales: Engine, stale: pd.DataFrame) -> None:
        refreshed(ask(cache, sales))
        stats = cache.stats()
        assert (stats.hits, stats.misses) == (1, 2)

    def test_may_be_a_setting(self, tmp_path: Path, sales: Engine, write: Callable[[str], None]) -> None:
        with QueryCache(tmp_path / "other", stale_while_revalidate="5m") as cache:
            cache.read(QUERY, sales)
            write("delete from sales")
            result = cache.read(QUERY, sales)
            assert result.outcome is Outcome.STALE
            refreshed(result)
            assert cache.read(QUERY, sales).frame.empty

    def test_is_announced_by_why(
        self, cache: QueryCache, sales: Engine, stale: pd.DataFrame, statements: Statements
    ) -> None:
        told = cache.why(QUERY, sales, stale_while_revalidate="5m")
        assert str(told).startswith("stale: file changed (exact) · served while it is refreshed · fetched ")
        assert "served" not in str(cache.why(QUERY, sales))
        assert statements == []


class TestInTheForeground:
    """Where nothing stale may be served, the database is asked as ever."""

    def test_what_is_past_the_window(
        self, cache: QueryCache, sales: Engine, clock: Clock, stale: pd.DataFrame
    ) -> None:
        clock.forward(minutes=3)
        for _ in range(2):
            result = ask(cache, sales)
            assert (len(result.frame), result.refreshing) == (3, None)
        assert ask(cache, sales, ttl=0, validate=False).outcome is Outcome.STALE
        assert ask(cache, sales, refresh=True).outcome is Outcome.REFRESHED

    def test_connections_of_a_persons_own(
        self, cache: QueryCache, sales: Engine, stale: pd.DataFrame, write: Callable[[str], None]
    ) -> None:
        with sales.connect() as con, Session(sales) as session:
            for number, way in enumerate((con, session)):
                write(f"delete from sales where id = {number + 1}")
                result = ask(cache, way)
                assert (result.outcome, len(result.frame)) == (Outcome.MISS, 2 - number)

    @pytest.mark.parametrize(
        "pool",
        [
            {"poolclass": AssertionPool},
            {"poolclass": StaticPool},
            {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0},
            {"poolclass": QueuePool, "pool_size": MOST, "max_overflow": 0},
        ],
        ids=["one at a time", "one for all", "one", "few"],
    )
    def test_engines_that_have_no_connection_to_spare(
        self,
        cache: QueryCache,
        stale: pd.DataFrame,
        engines: Callable[..., Engine],
        sales_db: Path,
        pool: dict[str, Any],
    ) -> None:
        result = ask(cache, engines(f"sqlite:///{sales_db}", **pool))
        assert (result.outcome, len(result.frame)) == (Outcome.MISS, 3)

    def test_engines_whose_connections_somebody_elses_code_opens(
        self, cache: QueryCache, clock: Clock, engines: Callable[..., Engine], sales_db: Path
    ) -> None:
        """It may be the same one each time, whose transaction would be rolled back behind its owner's back."""
        with closing(sqlite3.connect(sales_db)) as only:
            engine = engines(f"sqlite:///{sales_db}", creator=lambda: only, poolclass=QueuePool)
            assert cache.read(QUERY, engine, validate=False, ttl=60).outcome is Outcome.MISS
            clock.forward(minutes=2)
            assert ask(cache, engine, validate=False).outcome is Outcome.MISS
            engine.dispose()

    def test_what_somebody_has_declared_stale(
        self, cache: QueryCache, sales: Engine, stale: pd.DataFrame
    ) -> None:
        cache.invalidate(table="sales")
        assert ask(cache, sales).outcome is Outcome.MISS

    def test_what_was_fetched_in_times_to_come(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        cache.read(QUERY, sales)
        clock.forward(hours=-1)
        result = ask(cache, sales, validate=False)
        assert (result.outcome, result.reason) == (Outcome.MISS, Reason.FROM_FUTURE)

    def test_a_first_question(self, cache: QueryCache, sales: Engine) -> None:
        assert ask(cache, sales).outcome is Outcome.MISS


class TestARefreshThatFails:
    def test_makes_nothing_look_fresh(
        self,
        cache: QueryCache,
        sales: Engine,
        clock: Clock,
        stale: pd.DataFrame,
        write: Callable[[str], None],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        write("drop table sales")
        result = ask(cache, sales)
        with pytest.raises(FAULTS, match="no such table"):
            refreshed(result)
        assert re.match("not refreshed: (Database|Operational)Error: ", caplog.messages[-1])
        assert " · stale, fetched " in caplog.messages[-1]
        before, again = result.entry, ask(cache, sales)
        assert (again.outcome, again.entry) == (Outcome.STALE, before)
        with pytest.raises(FAULTS):
            refreshed(again)
        clock.forward(minutes=3)
        with pytest.raises(FAULTS, match="no such table"):
            ask(cache, sales)

    def test_nor_does_one_whose_answer_cannot_be_stored(
        self,
        cache: QueryCache,
        sales: Engine,
        stale: pd.DataFrame,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(cache._space, "limit", 10)
        new = refreshed(ask(cache, sales))
        assert new is not None
        assert new.outcome is Outcome.BYPASSED
        # A warning would have nobody to reach, and under this filter it would be an error of the query.
        assert "not cached: the result is larger than size_limit, 10 bytes" in caplog.messages
        monkeypatch.undo()
        assert ask(cache, sales).outcome is Outcome.MISS

    @pytest.mark.parametrize(
        "clear", [QueryCache.clear, lambda cache: cache.delete(cache.entry_list()[0].key)]
    )
    def test_nor_does_one_in_which_a_person_has_cleared_what_is_stored(
        self,
        cache: QueryCache,
        sales: Engine,
        stale: pd.DataFrame,
        clear: Callable[[QueryCache], object],
    ) -> None:
        gate = Gate(sales)
        result = ask(cache, sales)
        assert gate.came.acquire(timeout=SOON)
        clear(cache)
        gate.open.set()
        new = refreshed(result)
        assert new is not None
        assert new.detail == "what is stored was cleared while this was fetched"
        assert cache.entry_list() == []

    def test_nor_does_one_that_is_interrupted(
        self, cache: QueryCache, sales: Engine, stale: pd.DataFrame
    ) -> None:
        gate = Gate(sales)
        gate.meet = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            refreshed(ask(cache, sales))
        gate.meet = lambda: None
        assert cache.read(QUERY, sales).outcome is Outcome.MISS


class TestOneAtATime:
    def test_in_a_process(self, cache: QueryCache, sales: Engine, stale: pd.DataFrame) -> None:
        gate = Gate(sales)
        results = [ask(cache, sales) for _ in range(8)]
        assert {result.outcome for result in results} == {Outcome.STALE}
        assert len({id(result.refreshing) for result in results}) == 1
        gate.open.set()
        refreshed(results[0])
        assert (ask(cache, sales).outcome, gate.count) == (Outcome.HIT, 1)

    def test_of_many_questions_some_wait(self, cache: QueryCache, sales: Engine, clock: Clock) -> None:
        """A person's own queries need connections, too."""
        questions = [f"{QUERY} where id > {number}" for number in range(20)]
        for each in questions:
            cache.read(each, sales, ttl=60, validate=False)
        clock.forward(minutes=2)
        gate = Gate(sales)
        results = [ask(cache, sales, each, validate=False) for each in questions]
        for _ in range(MOST):
            assert gate.came.acquire(timeout=SOON)
        assert gate.count == MOST
        assert len(cache.read("select id from sales", sales).frame) == 6
        gate.open.set()
        for result in results:
            refreshed(result)
        assert gate.count == 20

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_child_does_not_wait_for_its_parents_threads(self) -> None:
        refreshes = Refreshes[int]()
        with refreshes._lock:  # as another thread may have it
            child = os.fork()
            if child == 0:
                worker = threading.Thread(target=refreshes.begin, args=("key", lambda: 1), daemon=True)
                worker.start()
                worker.join(SOON)
                os._exit(worker.is_alive())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_a_closed_cache_stays_closed(self, cache: QueryCache, sales: Engine, stale: pd.DataFrame) -> None:
        gate = Gate(sales)
        result = ask(cache, sales)
        assert gate.came.acquire(timeout=SOON)
        cache.close()
        gate.open.set()
        refreshed(result)
        assert cache._opened is None
        assert len(cache.read(QUERY, sales).frame) == 3

    def test_eight_kernels(
        self, cache: QueryCache, sales: Engine, sales_db: Path, stale: pd.DataFrame
    ) -> None:
        with kernels(cache, sales_db, 8) as started:
            for each in started:
                each.say("go")
            heard = sorted(each.hear() for each in started)
            assert heard == ["stale"] * 8
            # Each has begun its refresh, or left it to the one that now waits to be let on.
            for each in started:
                each.say("on")
            counts = [int(each.hear()) for each in started]
        assert sum(counts) == 1
        assert (ask(cache, sales).outcome, len(ask(cache, sales).frame)) == (Outcome.HIT, 3)

    def test_after_one_that_was_killed_the_next_caller_refreshes(
        self, cache: QueryCache, sales: Engine, sales_db: Path, stale: pd.DataFrame
    ) -> None:
        with kernels(cache, sales_db, 1) as (kernel,):
            kernel.say("go")
            assert kernel.hear() == "stale"
            assert kernel.hear_fault() == "asking"
            kernel.process.kill()
            kernel.process.wait(SOON)
        result = ask(cache, sales)
        assert result.outcome is Outcome.STALE
        new = refreshed(result)
        assert new is not None
        assert len(new.frame) == 3


ENDING = """
import sys, threading
from datetime import UTC, datetime, timedelta
from sqlalchemy import Engine, create_engine, event
from sqlcache_nb import QueryCache

folder, con = sys.argv[1:]
engine, asked = create_engine(f"duckdb:///{folder}/numbers.duckdb"), threading.Event()

@event.listens_for(Engine, "before_cursor_execute")
def note(con, cursor, statement, *rest):
    if statement == "select * from counted" and threading.current_thread() is not threading.main_thread():
        asked.set()

now = datetime.now(UTC)
cache = QueryCache(f"{folder}/cache", clock=lambda: now)

def write(sql):
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)
    engine.dispose()

def ask(**options):
    return cache.read("select * from counted", con or engine, validate=False, **options)

write("create table numbers as select range as n from range(3000)")
write("create view counted as select count(*) as n from numbers")
ask(ttl=60)
now += timedelta(minutes=2)
write("create or replace view counted as select count(*) as n from numbers a, numbers b, numbers c where a.n + b.n + c.n = -1")
print(ask(stale_while_revalidate="5m").outcome)
asked.wait()
sum(range(10_000_000))  # the driver's own code is reached by then
"""


@pytest.mark.parametrize("way", ["engine", "url"])
def test_a_process_ends_as_ever_while_duckdb_is_asked(tmp_path: Path, way: str) -> None:
    """DuckDB's own code ends it with a signal when a thread in it dies with the interpreter."""
    pytest.importorskip("duckdb_sqlalchemy")
    con = f"duckdb:///{tmp_path}/numbers.duckdb" if way == "url" else ""
    command = [sys.executable, "-W", "ignore", "-c", ENDING, str(tmp_path), con]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SOON, check=False)
    assert (ended.returncode, ended.stdout) == (0, "stale\n"), ended.stderr


KERNEL = """
import sys, threading
from sqlalchemy import create_engine, event
from sqlcache_nb import QueryCache

directory, url, query, now = sys.argv[1:]
from datetime import datetime
engine, count, on = create_engine(url), [], threading.Event()

def pass_(con, cursor, statement, *rest):
    if statement.startswith(query):
        count.append(1)
        print("asking", file=sys.stderr, flush=True)
        on.wait()

event.listen(engine, "before_cursor_execute", pass_)
with QueryCache(directory, clock=lambda: datetime.fromisoformat(now)) as cache:
    sys.stdin.readline()
    result = cache.read(query, engine, stale_while_revalidate="5m")
    print(result.outcome, flush=True)
    sys.stdin.readline()
    on.set()
    result.refreshing.result()
    print(len(count), flush=True)
engine.dispose()
"""


class Kernel:
    """A process that asks the question, and whose own query waits to be let on."""

    def __init__(self, cache: QueryCache, path: Path) -> None:
        command = [sys.executable, "-c", KERNEL, str(cache.directory), f"sqlite:///{path}", QUERY]
        self.process = subprocess.Popen(
            [*command, cache._clock().isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def hear_fault(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()


@contextmanager
def kernels(cache: QueryCache, path: Path, number: int) -> Iterator[list[Kernel]]:
    """So many of them, ended in the end."""
    with ExitStack() as stack:
        made = [Kernel(cache, path) for _ in range(number)]
        for each in made:
            stack.enter_context(each.process)
            stack.callback(each.process.kill)
        yield made


class TestRefreshes:
    def test_begin_gives_the_one_under_way(self) -> None:
        refreshes, go = Refreshes[int](), threading.Event()
        first = refreshes.begin("a", lambda: (go.wait(SOON), 1)[1])
        assert refreshes.begin("a", lambda: 2) is first
        other = refreshes.begin("b", lambda: 3)
        assert other.result(SOON) == 3
        go.set()
        assert first.result(SOON) == 1
        assert refreshes.begin("a", lambda: 2).result(SOON) == 2

    def test_a_refresh_knows_that_nobody_looks(self) -> None:
        assert Refreshes[bool]().begin("a", is_behind.get).result(SOON)
        assert not is_behind.get()

    def test_what_fails_is_handed_on(self) -> None:
        refreshes = Refreshes[float]()
        with pytest.raises(ZeroDivisionError):
            refreshes.begin("a", lambda: 1 / 0).result(SOON)
        assert refreshes.begin("a", lambda: 1.0).result(SOON) == 1.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "sqlcache_nb refresh":
            thread.join(SOON)
