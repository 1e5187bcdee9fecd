"""Prints the keys of questions as JSON; `test_stability` runs it in several processes.

Its arguments are a folder for databases, and a number by which the order of sets and mappings varies.
"""

from __future__ import annotations

import enum
import itertools
import json
import sqlite3
import sys
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    mapped_column,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.types import TypeDecorator

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.question import question_of
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import source_of

FOLDER, SHIFT = sys.argv[1], int(sys.argv[2])


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "t"
    n: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str]


class Shouting(TypeDecorator[str]):
    impl = sa.String
    cache_ok = SHIFT % 2 == 0  # whether SQLAlchemy itself keeps such statements

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return value.upper()


class Colour(enum.Enum):
    RED = "red"


def turned(values: list[Any]) -> list[Any]:
    """The same values in another order in each process."""
    return values[SHIFT % len(values) :] + values[: SHIFT % len(values)]


N, WORD = sa.column("n", sa.Integer), sa.column("word", sa.String)
T = sa.table("t", N, WORD)
WORDS = ["alpha", "beta", "gamma", "delta"]
later = aliased(Row)
cte = sa.select(T.c.n).where(T.c.word == "a").cte()
anonymous = sa.select((T.c.n * 2), sa.func.count()).group_by(T.c.n).subquery()


def of_closure(value: Any) -> Any:
    return sa.lambda_stmt(lambda: sa.select(T).where(T.c.n == value))


of_closure(7).compile()  # SQLAlchemy keeps what it found out about the lambda
criteria = of_closure(8)
criteria += lambda statement: statement.where(T.c.word == "b")  # as SQLAlchemy documents it

QUESTIONS: dict[str, tuple[Any, Any]] = {
    "string": ("select * from t where n = 1", None),
    "table": ("t", None),
    "string with values": ("select * from t where word = :w", dict(turned([("w", "a"), ("v", 1), ("u", None)]))),
    "text": (sa.text("select :a as a, :b as b"), dict(turned([("a", 1), ("b", date(2024, 1, 2)), ("c", 3)]))),
    "text with columns": (sa.text("select n, word from t").columns(n=sa.Integer, word=sa.String), None),
    "text with columns by place": (sa.text("select n, word from t").columns(N, WORD), None),
    "core": (sa.select(T).where(T.c.word == "a").order_by(T.c.n).limit(5), None),
    "literal": (sa.select(sa.literal("a"), sa.literal(1.5) + 1), None),
    "coerced": (sa.select(sa.type_coerce(T.c.word, sa.JSON), sa.type_coerce(T.c.n, sa.Numeric(10, 2))), None),
    "enum of words": (sa.select(sa.column("x", sa.Enum("red", "green"))), None),
    "enum class": (sa.select(sa.column("x", sa.Enum(Colour))), None),
    "value of an enum class": (sa.select(T).where(sa.column("x", sa.Enum(Colour)) == Colour.RED), None),
    "json": (
        sa.select(T.c.n).where(sa.literal({"a": [1, None]}, sa.JSON) == sa.literal(None, sa.JSON)),
        None,
    ),
    "uuid and decimal": (
        sa.select(T.c.n).where(sa.literal(UUID(int=7), sa.Uuid) == sa.literal(Decimal("1.50"), sa.Numeric)),
        None,
    ),
    "anonymous": (sa.select(anonymous), None),
    "anonymous alias": (sa.select(T.alias()).join(second := T.alias(), second.c.n > 1), None),
    "cte": (sa.select(cte), None),
    "recursive cte": (sa.select((walk := sa.select(sa.literal(1).label("n")).cte(recursive=True)).union_all(sa.select(walk.c.n + 1).where(walk.c.n < 5))), None),
    "union": (sa.union_all(sa.select(T.c.n), sa.select(sa.literal(1))), None),
    "late": (sa.select(T).where(T.c.n == sa.bindparam("n", 1, literal_execute=True)), None),
    "list": (sa.select(T).where(T.c.word.in_(WORDS)), None),
    "set": (sa.text("select 1 where 'A' in :x").bindparams(sa.bindparam("x", expanding=True)), {"x": set(turned(WORDS))}),
    "typed set": (sa.text("select 1 where 'A' in :x").bindparams(sa.bindparam("x", set(turned(WORDS)), Shouting, expanding=True)), None),
    "no list": (sa.select(T).where(T.c.word.in_([])), None),
    "pairs": (sa.select(T).where(sa.tuple_(N, WORD).in_([(1, "a"), (2, "b")])), None),
    "no pairs": (sa.select(T).where(sa.tuple_(N, WORD).in_([])), None),
    "typed pairs": (sa.select(T).where(sa.tuple_(N, sa.column("word", Shouting)).in_([(1, "a")])), None),
    "callable value": (sa.select(T).where(T.c.n == sa.bindparam("n", callable_=itertools.count().__next__, type_=sa.Integer)), None),
    "bound type of one's own": (sa.select(T).where(sa.column("word", Shouting) == "a"), None),
    "result type of one's own": (sa.select(sa.column("word", Shouting)), None),
    "translated": (sa.select(T).execution_options(schema_translate_map=dict(turned([(None, "main"), ("a", "b")]))), None),
    "entity": (sa.select(Row).where(Row.word == "a"), None),
    "aliased entity": (sa.select(later, Row.n).join(Row, Row.n == later.n), None),
    "lambda": (of_closure(1), None),
    "lambda with another value": (of_closure(2), None),
    "lambda with criteria": (criteria, None),
}  # fmt: skip


def answer(source: Any, statement: Any, params: Any) -> str:
    try:
        return question_of(PandasCall(statement, params=params), source, None).key.digest
    except NotCacheable as refusal:
        return str(refusal)
    finally:
        source.close()


def main() -> None:
    path = f"{FOLDER}/data.db"
    with sqlite3.connect(path) as con:
        con.execute("create table if not exists t (n integer, word text)")
    con.close()
    found = {}
    for name, url in {
        "sqlite": f"sqlite:///{path}",
        "postgresql": "postgresql+psycopg://ann@db/sales",
    }.items():
        engine = sa.create_engine(url)
        for temperature in ("cold", "warm"):
            for what, (statement, params) in QUESTIONS.items():
                found[f"{name}: {what} {temperature}"] = answer(
                    source_of(engine, statement), statement, params
                )
            if name == "sqlite":
                engine.connect().close()
            else:  # what a connection would find out about a server
                engine.dialect.server_version_info = (16, 4)
                engine.dialect._backslash_escapes = False  # type: ignore[attr-defined]
                engine.dialect.default_schema_name = "other"
        engine.dispose()
    duckdb = sa.create_engine(f"duckdb:///{FOLDER}/data.duckdb")
    creator = sa.create_engine(f"sqlite:///{path}", creator=lambda: sqlite3.connect(path))
    plain = sa.create_engine(f"sqlite:///{path}")
    with Session(plain) as session, creator.connect() as connection:
        scoped = scoped_session(sessionmaker(plain))
        others: dict[str, Any] = {
            "creator": creator, "connection": connection, "session": session, "scoped session": scoped,
            "url": f"sqlite:///{path}", "duckdb": duckdb,
        }  # fmt: skip
        for name, con in others.items():
            for what in ("core", "text", "entity", "lambda", "list"):
                statement, params = QUESTIONS[what]
                source = source_of(con, statement)
                source.prepare()
                found[f"{name}: {what}"] = answer(source, statement, params)
        scoped.remove()
    print(json.dumps(found))  # noqa: T201  # what it is for


main()
