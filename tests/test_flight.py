"""Single flight: one runs the query and the others wait, for as long as that makes sense."""

from __future__ import annotations

import _thread
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, Result, StoreWarning, flight, report
from sqlcache_nb.flight import LONGEST_WAIT, Turn, Watch
from sqlcache_nb.stores import Note, Phase
from tests.gate import QUERY, Gate
from tests.oracle import inconsistencies

KEY = "a" * 64
SINCE = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)
SOON = 60
"""Seconds after which a test that hangs is ended."""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[QueryCache]:
    with QueryCache(tmp_path / "cache") as cache:
        yield cache
    assert inconsistencies(tmp_path / "cache") == []


@pytest.fixture(autouse=True)
def _said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "PATIENCE", 0.0)


@pytest.fixture
def gate(sales: Engine) -> Gate:
    return Gate(sales)


@pytest.fixture
def pool(cache: QueryCache) -> Iterator[ThreadPoolExecutor]:
    """Sixteen threads, each of which closes the connection to the store that it has in the end."""
    with ThreadPoolExecutor(16) as pool:
        yield pool
        _close_all(cache, pool)


def _close_all(cache: QueryCache, pool: ThreadPoolExecutor) -> None:
    together = threading.Barrier(16)

    def close() -> None:
        together.wait(SOON)
        cache._store().close()

    for each in [pool.submit(close) for _ in range(16)]:
        each.result(SOON)


class Waiters:
    """Readers in threads of their own, that are known to wait."""

    def __init__(self, cache: QueryCache, pool: ThreadPoolExecutor) -> None:
        self._cache = cache
        self._pool = pool
        self.lines: list[str] = []
        self._waiting = threading.Semaphore(0)
        self._told: set[int] = set()

    def start(self, number: int, engine: Engine, **options: Any) -> list[Future[Result]]:
        """So many readers, each of which waits by now."""
        readers = [self._pool.submit(self._read, engine, options) for _ in range(number)]
        for _ in readers:
            assert self._waiting.acquire(timeout=SOON)
        return readers

    def _read(self, engine: Engine, options: dict[str, Any]) -> Result:
        def waiting(line: str) -> None:
            self.lines.append(line)
            if threading.get_ident() not in self._told:
                self._told.add(threading.get_ident())
                self._waiting.release()

        return ask(self._cache, engine, waiting, **options)


def ask(cache: QueryCache, engine: Engine, waiting: Callable[[str], None], **options: Any) -> Result:
    from sqlcache_nb.request import CacheOptions, PandasCall

    return cache.ask(PandasCall(QUERY), engine, CacheOptions(**options), waiting=waiting)


@pytest.fixture
def waiters(cache: QueryCache, pool: ThreadPoolExecutor) -> Waiters:
    return Waiters(cache, pool)


def results(readers: list[Future[Result]]) -> list[Result]:
    return [reader.result(SOON) for reader in readers]


# --- threads -----------------------------------------------------------------------------------------


class TestOneRuns:
    def test_the_others_wait_and_have_it_as_a_hit(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        others = waiters.start(6, sales)
        gate.open.set()
        assert (first.result(SOON).outcome, first.result().waited) == (Outcome.MISS, None)
        for result in results(others):
            assert (result.outcome, result.waited_for) == (Outcome.HIT, "another thread")
            line = report.line(result, now=datetime.now(UTC))
            assert line.startswith("hit · fetched just now by another thread · waited ")
            assert result.frame.equals(first.result().frame)
        assert gate.count == 1
        assert set(waiters.lines) == {"waiting for another thread, 1 s"}

    def test_it_is_said_in_the_log_once(
        self,
        cache: QueryCache,
        sales: Engine,
        gate: Gate,
        pool: ThreadPoolExecutor,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        said = threading.Event()

        class Said(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if record.getMessage().startswith("waiting"):
                    said.set()

        handler = Said()
        logging.getLogger("sqlcache_nb").addHandler(handler)
        with caplog.at_level(logging.INFO, "sqlcache_nb"):
            first = pool.submit(cache.read_sql, QUERY, sales)
            assert gate.came.acquire(timeout=SOON)
            second = pool.submit(cache.read_sql, QUERY, sales)
            assert said.wait(SOON)
            gate.open.set()
            assert first.result(SOON).equals(second.result(SOON))
        logging.getLogger("sqlcache_nb").removeHandler(handler)
        assert [line for line in caplog.messages if "waiting" in line] == ["waiting for another thread, 1 s"]

    def test_other_questions_do_not_wait(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        assert cache.read("select 1 as one", sales).waited is None
        gate.open.set()
        assert first.result(SOON).outcome is Outcome.MISS

    def test_what_was_stored_between_the_look_and_the_flight_is_a_hit(
        self, cache: QueryCache, sales: Engine, gate: Gate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate.open.set()
        board = flight.Flight.board

        def late(self: flight.Flight, key: str, before: Callable[[], object]) -> None:
            monkeypatch.setattr(flight.Flight, "board", board)
            cache.read(QUERY, sales)
            board(self, key, before)

        monkeypatch.setattr(flight.Flight, "board", late)
        assert (cache.read(QUERY, sales).outcome, gate.count) == (Outcome.HIT, 1)

    def test_who_waits_gives_the_connection_back(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        others = waiters.start(3, sales)
        assert sales.pool.checkedout() == 1  # type: ignore[attr-defined]  # it is a QueuePool
        gate.open.set()
        assert {result.outcome for result in results([first, *others])} == {Outcome.MISS, Outcome.HIT}

    def test_an_answer_that_is_stale_for_who_waited_is_fetched_again(
        self,
        cache: QueryCache,
        sales: Engine,
        gate: Gate,
        pool: ThreadPoolExecutor,
        waiters: Waiters,
        write: Callable[[str], None],
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        (other,) = waiters.start(1, sales)
        write("insert into sales (id) values (7)")
        gate.open.set()
        assert [len(result.frame) for result in results([first, other])] == [7, 7]
        assert gate.count == 2  # the first one's token was that of before


class TestWhatFails:
    def test_who_waited_for_an_error_runs_it_side_by_side(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        together = threading.Barrier(5)

        def fail() -> None:
            gate.open.wait(SOON)
            raise ZeroDivisionError("mine")

        gate.meet = fail
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        others = waiters.start(5, sales)
        gate.meet = lambda: together.wait(SOON) >= 0
        gate.open.set()
        with pytest.raises(ZeroDivisionError, match="mine"):
            first.result(SOON)
        # One after the other they would never meet.
        assert {result.outcome for result in results(others)} == {Outcome.MISS}
        assert gate.count == 6

    def test_who_waited_for_what_cannot_be_stored_runs_it_side_by_side(
        self, tmp_path: Path, sales: Engine, gate: Gate, pool: ThreadPoolExecutor
    ) -> None:
        with QueryCache(tmp_path / "small", size_limit=10) as cache:
            first = pool.submit(cache.read, QUERY, sales)
            assert gate.came.acquire(timeout=SOON)
            others = Waiters(cache, pool).start(7, sales)
            together = threading.Barrier(7)
            gate.meet = lambda: together.wait(SOON) >= 0
            gate.open.set()
            with pytest.warns(NotCachedWarning):
                ended = results([first, *others])
            _close_all(cache, pool)
        assert {result.outcome for result in ended} == {Outcome.BYPASSED}
        line = report.line(ended[1], now=datetime.now(UTC))
        assert gate.count == 8
        assert line.startswith("not cached: the result is larger than size_limit, 10 bytes · waited ")
        assert " for another thread · " in line

    def test_an_interruption_ends_the_waiting_and_leaves_nothing_held(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        with pytest.raises(KeyboardInterrupt):
            ask(cache, sales, lambda line: _thread.interrupt_main())
        gate.open.set()
        assert first.result(SOON).outcome is Outcome.MISS
        assert (cache.read(QUERY, sales).outcome, gate.count) == (Outcome.HIT, 1)
        assert cache.read(QUERY, sales, refresh=True).waited is None

    def test_an_interrupted_query_lets_others_go(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        def interrupted() -> None:
            gate.open.wait(SOON)
            if gate.count == 1:
                raise KeyboardInterrupt

        gate.meet = interrupted
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        others = waiters.start(1, sales)
        gate.open.set()
        with pytest.raises(KeyboardInterrupt):
            first.result(SOON)
        assert [result.outcome for result in results(others)] == [Outcome.MISS]

    @pytest.mark.skipif(os.name != "posix", reason="needs flock")
    def test_a_directory_without_locks_has_no_flights_and_says_so_once(
        self,
        cache: QueryCache,
        sales: Engine,
        gate: Gate,
        pool: ThreadPoolExecutor,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def flock(_file: int, _operation: int) -> None:
            raise OSError(37, "No locks available")

        monkeypatch.setattr("fcntl.flock", flock)
        together = threading.Barrier(2)
        gate.meet = lambda: together.wait(SOON) >= 0
        with pytest.warns(StoreWarning, match=r"cannot be locked \(No locks available\)") as seen:
            ended = results([pool.submit(cache.read, QUERY, sales) for _ in range(2)])
        assert {result.outcome for result in ended} == {Outcome.MISS}
        assert len(seen) == 1
        assert cache.read(QUERY, sales).outcome is Outcome.HIT

    def test_a_fault_of_the_locks_is_none_of_the_query(
        self, cache: QueryCache, sales: Engine, gate: Gate
    ) -> None:
        gate.open.set()
        (cache.directory / "v1").mkdir(parents=True)
        (cache.directory / "v1" / "locks").write_text("in the way")
        with pytest.warns(StoreWarning, match="cannot be locked"):
            assert cache.read(QUERY, sales).outcome is Outcome.MISS
        assert cache.read(QUERY, sales).outcome is Outcome.HIT


class TestRefresh:
    def test_two_flights_serve_any_number_of_refreshes(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales, refresh=True)
        assert gate.came.acquire(timeout=SOON)
        others = waiters.start(5, sales, refresh=True)
        gate.open.set()
        outcomes = sorted(str(result.outcome) for result in results([first, *others]))
        assert outcomes == ["hit"] * 4 + ["refreshed"] * 2
        assert gate.count == 2

    def test_it_takes_no_answer_that_was_asked_for_before_it(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        (other,) = waiters.start(1, sales, refresh=True)
        gate.open.set()
        assert other.result(SOON).outcome is Outcome.REFRESHED
        line = report.line(other.result(), now=datetime.now(UTC))
        assert line.startswith("refreshed · waited ")
        assert " for another thread · " in line
        assert (first.result(SOON).outcome, gate.count) == (Outcome.MISS, 2)


class TestNoFlight:
    def test_a_query_may_read_the_same_and_others_through_the_cache(
        self, cache: QueryCache, sales: Engine, gate: Gate
    ) -> None:
        inner: list[Result] = []

        def read() -> None:
            if gate.count == 1:
                inner.extend([cache.read(QUERY, sales), cache.read("select 1 as one", sales)])

        gate.meet = read
        assert cache.read(QUERY, sales).outcome is Outcome.MISS
        assert [(result.outcome, result.waited) for result in inner] == [(Outcome.MISS, None)] * 2
        assert gate.count == 2

    def test_two_queries_that_each_read_what_the_other_runs_both_end(
        self, cache: QueryCache, sales: Engine, pool: ThreadPoolExecutor
    ) -> None:
        queries = [f"{QUERY} where id = 1", f"{QUERY} where id = 2"]
        together, this = threading.Barrier(2), threading.local()

        def read(_con: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement in queries and not getattr(this, "is_inside", False):
                this.is_inside = True
                together.wait(SOON)  # each has its flight by now
                result = cache.read(queries[1 - queries.index(statement)], sales)
                assert (len(result.frame), result.waited) == (1, None)

        event.listen(sales, "before_cursor_execute", read)
        readers = [pool.submit(cache.read, query, sales) for query in queries]
        assert [len(result.frame) for result in results(readers)] == [1, 1]

    def test_chunks_and_open_transactions_wait_for_nobody(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor
    ) -> None:
        gate.meet = lambda: gate.count > 1 or gate.open.wait(SOON)
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        assert sum(len(chunk) for chunk in cache.read(QUERY, sales, chunksize=2).frame) == 6
        cache._store().clear()
        with sales.connect() as con, con.begin():
            assert cache.read(QUERY, con).waited is None
        cache._store().clear()
        with Session(sales) as session, session.begin():
            assert cache.read(QUERY, session).waited is None
        gate.open.set()
        assert (first.result(SOON).waited, gate.count) == (None, 4)

    def test_a_connection_outside_of_a_transaction_waits(
        self, cache: QueryCache, sales: Engine, gate: Gate, pool: ThreadPoolExecutor, waiters: Waiters
    ) -> None:
        first = pool.submit(cache.read, QUERY, sales)
        assert gate.came.acquire(timeout=SOON)
        with sales.connect() as con:
            (other,) = waiters.start(1, con)  # type: ignore[arg-type]  # it may be any connection
            gate.open.set()
            assert other.result(SOON).outcome is Outcome.HIT
        assert (first.result(SOON).outcome, gate.count) == (Outcome.MISS, 1)


# --- what one who waits makes of what is seen ----------------------------------------------------------


def note(word: str = "one", phase: Phase = Phase.RUNNING, key: str = KEY) -> Note:
    return Note(key, word, phase, "kernel 4711", 4711, "here", SINCE)


class TestWatch:
    @staticmethod
    def turns(*seen: tuple[Note | None, bool], is_refresh: bool = False, each: float = 0.1) -> list[str]:
        watch = Watch(KEY, 0.0, is_refresh=is_refresh)
        turns = [
            watch.judge(what, number * each, is_taken=is_taken).name
            for number, (what, is_taken) in enumerate(seen)
        ]
        return [*turns, "NEWER"] if watch.is_newer else turns

    def test_a_dead_owners_flight_is_taken_over(self) -> None:
        assert self.turns((note(), False), (note(), False), (note(), True)) == ["WAIT", "WAIT", "OURS"]

    def test_who_waits_goes_on_waiting_for_who_took_over(self) -> None:
        assert self.turns((note(), False), (note(), False)) == ["WAIT", "WAIT"]

    @pytest.mark.parametrize("phase", [Phase.STORED, Phase.OPEN])
    @pytest.mark.parametrize("is_taken", [False, True])
    def test_after_its_end_nobody_queues(self, phase: Phase, is_taken: bool) -> None:
        assert self.turns((note(), False), (note(phase=phase), is_taken)) == ["WAIT", "ASIDE"]

    def test_another_flight_means_that_this_one_has_ended(self) -> None:
        assert self.turns((note(), False), (note("two"), False)) == ["WAIT", "ASIDE"]

    def test_who_saw_nobody_takes_a_free_lease(self) -> None:
        for seen in (None, note(phase=Phase.OPEN), note(key="b" * 64)):
            assert self.turns((seen, True)) == ["OURS"]

    def test_another_question_that_shares_the_lock_is_not_waited_for(self) -> None:
        assert self.turns((note(key="b" * 64), False)) == ["ASIDE"]

    @pytest.mark.parametrize("seen", [None, note(phase=Phase.STORED), note("x", Phase.OPEN, "b" * 64)])
    def test_a_lock_of_nobody_is_waited_for_some_seconds(self, seen: Note | None) -> None:
        assert self.turns((seen, False), (seen, False), (seen, False), each=2.0) == ["WAIT", "WAIT", "ASIDE"]

    def test_nobody_waits_for_ever(self) -> None:
        assert self.turns((note(), False), (note(), False), each=LONGEST_WAIT - 1) == ["WAIT", "WAIT"]
        assert self.turns((note(), False), (note(), False), each=LONGEST_WAIT) == ["WAIT", "ASIDE"]

    def test_a_refresh_runs_after_the_flight_that_was_under_way(self) -> None:
        stored = note(phase=Phase.STORED)
        seen = ((note(), False), (stored, False), (stored, True))
        assert self.turns(*seen, is_refresh=True) == ["WAIT", "WAIT", "OURS"]

    @pytest.mark.parametrize("is_taken", [False, True])
    def test_a_refresh_takes_the_answer_of_a_later_flight(self, is_taken: bool) -> None:
        later = note("two", Phase.STORED)
        assert self.turns((note(), False), (note("two"), False), (later, is_taken), is_refresh=True) == [
            "WAIT",
            "WAIT",
            "ASIDE",
            "NEWER",
        ]

    def test_a_refresh_waits_for_two_flights_at_most(self) -> None:
        seen = [(note(word), False) for word in ("one", "two", "three")]
        assert self.turns(*seen, is_refresh=True) == ["WAIT", "WAIT", "ASIDE"]

    def test_a_refresh_does_not_queue_after_a_failure(self) -> None:
        seen = ((note(), False), (note(phase=Phase.OPEN), True))
        assert self.turns(*seen, is_refresh=True) == ["WAIT", "ASIDE"]


class TestWords:
    def test_who_is_named(self) -> None:
        assert report.whom(note(), 1, "here") == "kernel 4711"
        assert report.whom(note(), 4711, "here") == "another thread"
        assert report.whom(note(), 4711, "there") == "kernel 4711 on here"

    def test_a_dead_owner_is_noticed_within_two_looks(self) -> None:
        assert 2 * flight._LONGEST_PAUSE <= 0.2

    def test_turns_are_what_they_are_called(self) -> None:
        assert [turn.name for turn in Turn] == ["WAIT", "OURS", "ASIDE"]


# --- processes ---------------------------------------------------------------------------------------

KERNEL = """
import sys
from datetime import UTC, datetime
from sqlalchemy import create_engine, event
from sqlcache_nb import QueryCache, flight, report
from sqlcache_nb.request import CacheOptions, PandasCall

directory, url = sys.argv[1:]
flight.PATIENCE = 0.0
engine = create_engine(url)
told = []

def tell(word):
    if word not in told:
        told.append(word)
        print(word, flush=True)

@event.listens_for(engine, "before_cursor_execute")
def meet(_con, _cursor, statement, *_rest):
    if statement.startswith("select * from sales"):
        tell("asking")
        sys.stdin.readline()

with QueryCache(directory) as cache:
    result = cache.ask(PandasCall("select * from sales"), engine, CacheOptions(), waiting=lambda line: tell(line.rpartition(",")[0]))
    print(report.line(result, now=datetime.now(UTC)), flush=True)
engine.dispose()
"""


class Kernel:
    """Another process that asks the same."""

    def __init__(self, directory: Path, url: str) -> None:
        command = [sys.executable, "-c", KERNEL, str(directory), url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()


@contextmanager
def kernels(cache: QueryCache, url: str) -> Iterator[Callable[[], Kernel]]:
    with ExitStack() as stack:

        def start() -> Kernel:
            kernel = Kernel(cache.directory, url)
            stack.enter_context(kernel.process)
            stack.callback(kernel.process.kill)
            return kernel

        yield start


def test_kernels_wait_for_each_other(cache: QueryCache, sales_db: Path) -> None:
    with kernels(cache, f"sqlite:///{sales_db}") as start:
        first = start()
        assert first.says() == "asking"
        others = [start(), start()]
        name = f"process {first.process.pid}"
        assert [kernel.says() for kernel in others] == [f"waiting for {name}"] * 2
        first.go()
        assert first.says().startswith("miss: first time · ")
        for kernel in others:
            assert kernel.says().startswith(f"hit · fetched just now by {name} · waited ")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_one_of_those_who_wait_takes_over_from_a_dead_kernel(cache: QueryCache, sales_db: Path) -> None:
    with kernels(cache, f"sqlite:///{sales_db}") as start:
        first = start()
        assert first.says() == "asking"
        others = [start(), start()]
        assert [kernel.says() for kernel in others] == [f"waiting for process {first.process.pid}"] * 2
        first.process.kill()
        first.process.wait()
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(Kernel.says, others))
            if said[0] != "asking":
                others.reverse()
            # One asks, and the other one waits for it.
            assert sorted(said) == ["asking", f"waiting for process {others[0].process.pid}"]
            others[0].go()
            assert others[0].says().startswith("miss: first time · waited ")
            assert (
                others[1].says().startswith(f"hit · fetched just now by process {others[0].process.pid} · ")
            )


def test_a_flight_that_is_old_is_still_shown_by_its_age() -> None:
    asked = timedelta(minutes=3)
    assert report.waiting("kernel 4711", asked.total_seconds()) == "waiting for kernel 4711, 3 min"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_of_a_process_with_a_flight_flies_by_itself(cache: QueryCache, sales_db: Path) -> None:
    code = """
import os, sys
from sqlalchemy import create_engine, event
from sqlcache_nb import QueryCache

directory, url = sys.argv[1:]
engine, cache = create_engine(url), QueryCache(directory)

@event.listens_for(engine, "before_cursor_execute")
def fork(_con, _cursor, statement, *_rest):
    if statement == "select * from sales" and os.getpid() == parent:
        child = os.fork()
        if child == 0:
            engine.dispose(close=False)
            with QueryCache(directory) as mine:
                result = mine.read("select count(*) as n from sales", url)
                os._exit(not (result.waited is None and str(result.outcome) == "miss"))
        assert os.waitpid(child, 0)[1] == 0

parent = os.getpid()
assert str(cache.read("select * from sales", engine).outcome) == "miss"
assert str(cache.read("select * from sales", engine).outcome) == "hit"
cache.close()
engine.dispose()
"""
    command = [sys.executable, "-c", code, str(cache.directory), f"sqlite:///{sales_db}"]
    subprocess.run(command, check=True)
