"""What a question's key costs, against what cannot be had for less.

"key" is `question_of` for a database that was identified before: statement, parameters, result types, options and
identity, up to the sha256. "question" is all of it, the source's identity and its validator token included.

text(), Core and ORM statements are compared with their compilation by SQLAlchemy for the same dialect, strings with
one sha256 of the SQL and one row read of a store. 10,000 values of an IN are compared with the SQL in which they are
written out. No server is needed: an Engine of a remote one is identified without connecting.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship
from sqlalchemy.pool import NullPool

from benchmarks.paired import Comparison, command_line, paired, print_table
from sqlcache_nb import QueryCache
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.question import Question, question_of
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import source_of
from sqlcache_nb.sources.engines import EngineSource
from sqlcache_nb.stores.disk import DiskStore

CALLS = 500
"""In a row for one measurement."""

LATE = """
SELECT dest, count(*) AS flights, avg(arr_delay) AS late FROM flights
WHERE day >= :start AND day < :end AND carrier = :carrier GROUP BY dest ORDER BY late DESC
"""
VALUES = {"start": date(2013, 1, 1), "end": date(2013, 2, 1), "carrier": "UA"}
STRING = "SELECT dest, count(*) AS flights FROM flights GROUP BY dest"


class Base(DeclarativeBase):
    """The mapped classes below."""


class Airline(Base):
    """A table of two columns."""

    __tablename__ = "airlines"

    carrier: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Flight(Base):
    """A table of six columns."""

    __tablename__ = "flights"

    id: Mapped[int] = mapped_column(primary_key=True)
    carrier: Mapped[str] = mapped_column(sa.ForeignKey("airlines.carrier"))
    day: Mapped[date]
    dest: Mapped[str]
    arr_delay: Mapped[float | None]
    distance: Mapped[float | None]
    airline: Mapped[Airline] = relationship()


FLIGHTS, AIRLINES = Flight.__table__, Airline.__table__
CORE = (
    select(
        FLIGHTS.c.dest, AIRLINES.c.name, sa.func.count().label("flights"), sa.func.avg(FLIGHTS.c.arr_delay)
    )
    .join_from(FLIGHTS, AIRLINES)
    .where(FLIGHTS.c.day >= VALUES["start"], FLIGHTS.c.day < VALUES["end"], AIRLINES.c.name.like("U%"))
    .group_by(FLIGHTS.c.dest, AIRLINES.c.name)
    .order_by(sa.desc("flights"))
    .limit(10)
)
ORM = (
    select(Flight)
    .join(Flight.airline)
    .where(Flight.day >= VALUES["start"], Airline.name == "United")
    .options(joinedload(Flight.airline))
    .order_by(Flight.id)
)
ENTITIES = select(Flight, Airline).join(Flight.airline).where(Flight.day >= VALUES["start"])
MANY = select(FLIGHTS.c.id, FLIGHTS.c.dest).where(FLIGHTS.c.id.in_(range(10_000)))


class Identified(EngineSource):
    """An Engine whose database was identified once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._known = super().identify()

    def identify(self) -> SourceIdentity:
        """What was told at first."""
        return self._known

    def token(self, identity: SourceIdentity) -> str | None:  # noqa: ARG002  # that of its base
        """None, without a look."""
        return None


def whole(con: Any, sql: Any, params: Any = None) -> Question:
    """The whole way of a read, up to its key."""
    with closing(source_of(con, sql)) as source:
        source.prepare()
        return question_of(PandasCall(sql, params=params), source, None)


def compiled(runs: int) -> Iterator[tuple[str, Comparison]]:
    """Statements of SQLAlchemy against their compilation."""
    engine = create_engine("postgresql+psycopg://ann@db.example/sales")
    source = Identified(engine)
    typed = text(LATE).bindparams(**VALUES)

    def key(sql: Any, params: Any = None) -> Question:
        return question_of(PandasCall(sql, params=params), source, None)

    def pairs(name: str, make: Callable[[], Any], params: Any = None) -> Iterator[tuple[str, Comparison]]:
        def compile_() -> object:
            return make().compile(dialect=source.dialect)

        for way, ours in {
            "key / compile": lambda: key(make(), params),
            "question / compile": lambda: whole(engine, make(), params),
        }.items():
            yield name, paired(way, ours, compile_, runs, CALLS)

    yield from pairs("text(), 3 values", lambda: text(LATE), VALUES)
    yield from pairs("text(), bindparams", lambda: typed)
    yield from pairs("Core, join", lambda: CORE)
    yield from pairs("ORM, joinedload", lambda: ORM)
    yield from pairs("ORM, two entities", lambda: ENTITIES)

    def rendered() -> object:
        return MANY.compile(dialect=source.dialect, compile_kwargs={"render_postcompile": True})

    yield "IN, 10,000 values", paired("key / rendered", partial(key, MANY), rendered, runs)
    plain = partial(MANY.compile, dialect=source.dialect)
    yield "IN, 10,000 values", paired("key / compile", partial(key, MANY), plain, runs)


def strings(folder: Path, runs: int) -> Iterator[tuple[str, Comparison]]:
    """Plain strings against one sha256 and one row read."""
    file = folder / "flights.db"
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("CREATE TABLE flights AS SELECT 'ATL' AS dest")
    url = f"sqlite:///{file}"
    with QueryCache(folder / "cache") as cache, closing(DiskStore(folder / "cache")) as store:
        (key,) = {cache.read(STRING, url).entry.key for _ in range(2)}  # type: ignore[union-attr]  # it is stored

        def row() -> object:
            return sha256(STRING.encode()).digest(), store.lookup(key)

        pooled = create_engine(url)
        with pooled.connect():
            pass
        cons: dict[str, Any] = {
            "string, PostgreSQL": create_engine("postgresql+psycopg://ann@db.example/sales"),
            "string, SQLite file": create_engine(url, poolclass=NullPool),
            "string, SQLite URL": url,
            "string, SQLite pool": pooled,
        }
        for name, con in cons.items():
            yield name, paired("question / sha256 + row", partial(whole, con, STRING), row, runs, CALLS)
        pooled.dispose()


def main() -> None:
    """Print the table."""
    arguments = command_line(__doc__).parse_args()
    print_table(compiled(3 * arguments.runs), "statement")
    with tempfile.TemporaryDirectory() as folder:
        print_table(strings(Path(folder), 3 * arguments.runs), "statement")


if __name__ == "__main__":
    main()
