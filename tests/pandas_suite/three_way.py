"""A plugin for the process that runs pandas' tests: every read is done by pandas, as a miss and as a hit.

It puts a function of its own in the place of `read_sql`, `read_sql_query` and `read_sql_table`, where people find
them: in `pandas` and in `pandas.io.sql`. pandas itself does not use these names. Frames, errors, warnings, and the
state of the connection are compared; an iterator is read to its end, and once more stopped after its first chunk.
Whatever differs fails the test that read it, and is written to the report; the test goes on with what came last: the
hit, where there is one.

Many of the tests read from connections that are bypassed by design. What they read goes through the codec alone, too,
and is read again from a connection to the same data that is not bypassed, where there is such a thing.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any, cast
from uuid import uuid4

import pandas as pd
import pandas.io.sql
import pytest
from sqlalchemy import Connection, Engine, TextClause

from sqlcache_nb import Outcome, QueryCache, SqlcacheWarning, StoreWarning
from sqlcache_nb.codec import ChunkWriter, Payload, encode
from sqlcache_nb.errors import NotCacheable
from tests.oracle import inconsistencies
from tests.strict import differences

REPORT = "SQLCACHE_NB_SUITE_REPORT"

_READERS = ("read_sql", "read_sql_query", "read_sql_table")
_READS = ("select", "with", "values", "pragma", "call")
"""First words of the statements that are run several times."""

_ADDRESS = re.compile(r"0x[0-9a-f]+")


class NoTwin(Exception):
    """Why a read is left to pandas alone."""


@dataclass
class Answer:
    """What a read gave: frames, or an error, or frames and then an error."""

    frames: list[pd.DataFrame] = field(default_factory=list)
    in_chunks: bool = False
    error: Exception | None = None
    warned: list[warnings.WarningMessage] = field(default_factory=list)
    outcome: Outcome | None = None
    why: str = ""

    def news(self) -> list[tuple[str, str, bool]]:
        """The warnings that are not about the cache, and whether they are shown at the caller's line."""
        return [
            (shown.category.__name__, str(shown.message), shown.filename == __file__)
            for shown in self.warned
            if not issubclass(shown.category, SqlcacheWarning)
        ]

    def faults(self) -> list[str]:
        """What the cache says of faults of its own."""
        return [str(shown.message) for shown in self.warned if issubclass(shown.category, StoreWarning)]


def answer(read: Callable[[], Any]) -> Answer:
    """What a read gives, chunks included."""
    given = Answer()
    with warnings.catch_warnings(record=True) as given.warned:
        warnings.simplefilter("always")
        try:
            result = read()
            if not isinstance(result, pd.DataFrame | Iterator):
                given.outcome, given.why = result.outcome, result.detail or str(result.reason)
                result = result.frame
            given.in_chunks = not isinstance(result, pd.DataFrame)
            for frame in result if given.in_chunks else [result]:
                given.frames.append(frame)
        except Exception as fault:  # noqa: BLE001  # whatever it is, all three have to raise it
            given.error = fault
    return given


def unlike(pandas: Answer, ours: Answer) -> Iterator[str]:
    """Everything in which our answer is unlike that of pandas."""
    if told(pandas.error) != told(ours.error):
        yield f"{told(pandas.error)} became {told(ours.error)}"
    if (pandas.in_chunks, len(pandas.frames)) != (ours.in_chunks, len(ours.frames)):
        yield f"{len(pandas.frames)} frames became {len(ours.frames)}, or chunks became a frame"
    elif pandas.error is None and ours.error is None:
        for number, (left, right) in enumerate(zip(pandas.frames, ours.frames, strict=True)):
            # The first few tell enough: a frame may differ in each of its cells.
            yield from (f"frame {number}: {sentence}" for sentence in differences(left, right)[:5])
    if ours.outcome is not Outcome.HIT and pandas.news() != ours.news():
        yield f"warnings {pandas.news()} became {ours.news()}"
    yield from ours.faults()


def told(error: Exception | None) -> str:
    """An error in words, without addresses."""
    return "no error" if error is None else _ADDRESS.sub("0x", f"{type(error).__qualname__}: {error}")


@dataclass
class Counts:
    """What is counted of one kind of connection."""

    reads: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)
    bypassed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    silent: Counter[str] = field(default_factory=Counter)


class Suite:
    """All reads of a run."""

    def __init__(self) -> None:
        self.counts: dict[str, Counts] = {}
        self.found: list[str] = []
        self.test = ""
        self.folder = Path(tempfile.mkdtemp(prefix="cache-"))
        self.cache = QueryCache(self.folder)

    def replace(self) -> None:
        """Put our readers in the place of pandas'."""
        for name in _READERS:
            reader = self.reader(getattr(pd, name))
            for module in (pd, pandas.io.sql):
                setattr(module, name, reader)

    def reader(self, pandas_reader: Callable[..., Any]) -> Callable[..., Any]:
        """A reader that is called as pandas' own is."""

        @functools.wraps(pandas_reader)
        def read(*args: Any, **kwargs: Any) -> Any:
            try:
                given = self.read(pandas_reader, args, kwargs)
            except Exception as fault:  # the test might expect an error, and take this for it
                self.note(pandas_reader.__name__, f"the comparison failed: {told(fault)}", {})
                raise
            caller = cast("FrameType", sys._getframe().f_back)
            here = caller.f_code.co_filename, caller.f_lineno  # where pandas would have shown them
            for shown in given.warned:
                if not issubclass(shown.category, SqlcacheWarning):
                    place = here if shown.filename == __file__ else (shown.filename, shown.lineno)
                    warnings.warn_explicit(cast("Warning", shown.message), shown.category, *place)
            if given.in_chunks:
                return chunks(given)
            if given.error is not None:
                raise given.error
            return given.frames[0]

        return read

    def read(
        self, pandas_reader: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Answer:
        """Read three ways and compare; gives what the test goes on with."""
        name = pandas_reader.__name__
        bound = inspect.signature(pandas_reader).bind(*args, **kwargs).arguments
        con = bound["con"]
        counts = self.counts.setdefault(kind(con), Counts())
        counts.reads += 1
        begun = isinstance(con, Connection) and con.in_transaction()
        given = answer(lambda: pandas_reader(*args, **kwargs))
        self.check_codec(given, counts)
        try:
            call = twin(name, bound, given, begun=begun)
        except NoTwin as reason:
            counts.alone[str(reason)] += 1
            return given
        last = self.ask(name, given, call, counts, begun=begun)
        if last.outcome is Outcome.BYPASSED and not begun:
            with stand_in(con, self.folder) as other:
                arguments = {**bound, "con": other}
                # It takes the place only if pandas itself reads the same from it: detect_types is in no attribute.
                if other is not None and not any(unlike(given, answer(lambda: pandas_reader(**arguments)))):
                    counts = self.counts.setdefault(f"{kind(con)} -> {kind(other)}", Counts())
                    counts.reads += 1
                    last = self.ask(name, given, {**call, "con": other}, counts, begun=False)
        return last if given.error is None else given

    def ask(self, name: str, given: Answer, call: dict[str, Any], counts: Counts, *, begun: bool) -> Answer:
        """Read as a miss and as a hit, and compare each with what pandas gave; gives the last."""
        first = self.ours(name, given, call, counts, begun=begun)
        if first.error is not None:
            return first
        second = self.ours(name, given, call, counts, begun=begun)
        expected = Outcome.HIT if first.outcome is Outcome.MISS else first.outcome
        if second.outcome is not expected:
            self.note(name, f"{first.outcome} was followed by {second.outcome}: {second.why}", call)
        if second.outcome is Outcome.HIT and given.news() != second.news():
            counts.silent[given.news()[0][1]] += 1
        if len(given.frames) > 1:
            self.check_early_stop(name, given, call)
        self.cache.clear()
        second.warned = given.warned
        return second

    def ours(self, name: str, given: Answer, call: dict[str, Any], counts: Counts, *, begun: bool) -> Answer:
        """Read once by the cache, compare and count."""
        con = call["con"]
        after = isinstance(con, Connection) and con.in_transaction()
        if after and not begun:  # that each way begins alike
            con.rollback()
        read = answer(lambda: self.cache.read(**call))
        counts.outcomes[str(read.outcome or "raised")] += 1
        if read.outcome is Outcome.BYPASSED:
            counts.bypassed[read.why] += 1
        for sentence in unlike(given, read):
            self.note(f"{name}, {read.outcome}", sentence, call)
        # A hit begins nothing. And read_sql, as which it is asked, leaves more than read_sql_table does.
        comparable = read.outcome is not Outcome.HIT and name != "read_sql_table"
        if comparable and isinstance(con, Connection) and con.in_transaction() != after:
            self.note(name, "the connection is left in another state", call)
        return read

    def check_early_stop(self, name: str, pandas: Answer, call: dict[str, Any]) -> None:
        """Stop after a chunk, as a hit and as a miss: nothing is stored, and the connection still reads."""
        for way in ("hit", "miss"):
            if way == "miss":
                self.cache.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                stopped = self.cache.read(**call).frame
                for sentence in differences(pandas.frames[0], next(stopped)):
                    self.note(f"{name}, stopped {way}", sentence, call)
                stopped.close()
            if way == "miss" and self.cache.entry_list():
                self.note(name, "an answer was stored that was not read to its end", call)
            for sentence in unlike(pandas, answer(lambda: self.cache.read(**call))):
                self.note(f"{name}, after a stopped {way}", sentence, call)

    def check_codec(self, given: Answer, counts: Counts) -> None:
        """Whether every frame comes back from the codec, whoever read it."""
        for frame in given.frames:
            try:
                back = Payload(encode(frame, "{}")).frame
            except NotCacheable as refusal:
                counts.refused[str(refusal)] += 1
                continue
            counts.outcomes["frames encoded"] += 1
            for sentence in differences(frame, back)[:5]:
                self.note("encode", sentence, {"dtypes": dict(frame.dtypes)})
        if given.in_chunks and given.error is None:
            self.check_chunks(given, counts)

    def check_chunks(self, given: Answer, counts: Counts) -> None:
        """The same for chunks in one file."""
        writer = ChunkWriter(BytesIO)
        try:
            for frame in given.frames:
                writer.add(frame)
            back = list(Payload(writer.finish("{}")).chunks())
        except NotCacheable:  # refused as a frame, too
            return
        finally:
            writer.close()
        counts.outcomes["chunks encoded"] += len(back)
        restored = Answer(back, in_chunks=True, warned=given.warned)
        for sentence in unlike(given, restored):
            self.note("ChunkWriter", sentence, {})

    def note(self, where: str, sentence: str, call: dict[str, Any]) -> None:
        """Keep a difference."""
        self.found.append(f"{self.test}: {where}: {sentence} [{call}]")

    def finish(self) -> None:
        """Write the report."""
        self.cache.close()
        self.found += inconsistencies(self.folder)
        shutil.rmtree(self.folder)
        report = {
            "differences": self.found,
            "counts": {backend: vars(counts) for backend, counts in sorted(self.counts.items())},
        }
        Path(os.environ[REPORT]).write_text(json.dumps(report, indent=1), encoding="utf-8")


def twin(name: str, bound: dict[str, Any], given: Answer, *, begun: bool) -> dict[str, Any]:
    """The arguments with which `QueryCache.read` asks the same.

    Raises:
        NoTwin: it cannot be asked, or not a second time.
    """
    call = dict(bound)
    con, sql = call["con"], call.get("sql", call.get("table_name"))
    if type(con).__module__ in ("__main__", "test_sql"):
        raise NoTwin("a connection of the test's own class")
    if name == "read_sql_table":
        if call.pop("schema", None) is not None:
            raise NoTwin("read_sql_table with a schema")
        is_missing = given.error is not None and "not found" in str(given.error)
        if is_missing or isinstance(con, sqlite3.Connection):
            raise NoTwin("read_sql_table of what is no table")
        call["sql"] = call.pop("table_name")
    text = sql.text if isinstance(sql, TextClause) else sql if isinstance(sql, str) else None
    if text is not None:
        words = text.split()
        if len(words) == 1 and name == "read_sql_query":
            raise NoTwin("read_sql_query of a name")
        if len(words) > 1 and name != "read_sql_table" and words[0].lower() not in _READS:
            raise NoTwin("a statement that may write")
    if isinstance(call.get("params"), Iterator):
        raise NoTwin("parameters that can be read once")
    if given.error is not None and begun:
        raise NoTwin("an error in a transaction, which it ended")
    return call


def kind(con: Any) -> str:
    """What sort of connection it is, in words."""
    if isinstance(con, str):
        return f"{con.partition(':')[0]} URL"
    if isinstance(con, Engine | Connection):
        return f"{con.dialect.name} {type(con).__name__}"
    module = type(con).__module__.partition(".")[0]
    if module.startswith("adbc_driver"):
        return f"{con.adbc_get_info()['vendor_name']} ADBC"
    return f"{module} connection"


@contextmanager
def stand_in(con: Any, folder: Path) -> Iterator[Any]:
    """A connection to the same data that the cache knows, or None: pandas' tests read from many that it does not."""
    if isinstance(con, Connection) and con.dialect.name != "sqlite":
        yield con.engine
    elif isinstance(con, sqlite3.Connection) and not con.in_transaction:
        path = folder / f"{uuid4()}.db"
        with closing(sqlite3.connect(path)) as copy:
            con.backup(copy)
            copy.row_factory = con.row_factory
            yield copy
        path.unlink()
    elif kind(con) == "SQLite ADBC":
        from adbc_driver_sqlite import dbapi

        with closing(con.cursor()) as cursor:
            cursor.execute("PRAGMA database_list")
            path = cursor.fetchone()[2]
        with dbapi.connect(path) as other:
            yield other
    else:
        yield None


def chunks(given: Answer) -> Iterator[pd.DataFrame]:
    """An iterator as pandas gives it."""
    yield from given.frames
    if given.error is not None:
        raise given.error


_suite = pytest.StashKey[Suite]()


def pytest_configure(config: pytest.Config) -> None:
    """Before pandas' tests import the names."""
    config.stash[_suite] = Suite()
    config.stash[_suite].replace()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail the test that a difference was found in."""
    suite = item.config.stash[_suite]
    suite.test, before = item.name, len(suite.found)
    try:
        yield
    finally:
        if found := suite.found[before:]:
            pytest.fail("\n".join(found))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report."""
    session.config.stash[_suite].finish()
