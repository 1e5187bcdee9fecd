"""Two questions that a driver, or whoever reads the frame, could tell apart never share a key.

What "apart" means is not asked of this library: the same two questions are put to a real database by
pandas itself, and what the driver got and what pandas gave are compared.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import combinations, product
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as listening
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mssql.base import MSDialect
from sqlalchemy.dialects.mysql import pymysql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.types import TypeDecorator

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.key import Key
from sqlcache_nb.query import ask
from sqlcache_nb.question import question_of
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import source_of
from tests.strict import differences
from tests.test_key import typed

DIALECTS: dict[str, Any] = {
    "sqlite": pysqlite.dialect(),
    "postgresql": psycopg.dialect(),  # type: ignore[no-untyped-call]
    "mysql": pymysql.dialect(),
    "mssql": MSDialect(),  # type: ignore[no-untyped-call]
}


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "t"
    n: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str]


class Shouting(TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else str(value).upper()


class Whispering(Shouting):
    """A literal in the text is another one than the bound value."""

    cache_ok = True

    def process_literal_param(self, value: Any, dialect: Any) -> str:
        return str(value).lower()


TABLE = sa.table("t", sa.column("n", sa.Integer), sa.column("word", sa.String))
VALUES: list[Any] = [
    *(None, 0, 1, True, 1.0, "1", b"1", Decimal(1), Decimal("1.0"), 2**40, UUID(int=1)),
    *("", "a", "A", "a ", "ä", "%", ":v", "?", date(2024, 1, 2), datetime(2024, 1, 2), "2024-01-02"),
]
FEW: list[Any] = [None, 1, True, "1", "a", b"1", date(2024, 1, 2), datetime(2024, 1, 2, 3)]
KINDS: list[Any] = [
    sa.types.NullType(),
    *(sa.Integer(), sa.BigInteger(), sa.String(), sa.String(5), sa.Text(), sa.Boolean(), sa.LargeBinary()),
    *(sa.Float(), sa.Float(asdecimal=True), sa.Numeric(), sa.Numeric(10, 2), sa.Numeric(asdecimal=False)),
    *(sa.Date(), sa.DateTime(), sa.Uuid(), sa.Uuid(as_uuid=False), sa.JSON(), sa.Enum("a", "A", "1")),
    *(Shouting(), Whispering()),
]


@dataclass(frozen=True)
class Asked:
    """A question as data: what is asked, and in how many ways it may differ from another one."""

    form: str
    v: Any = 1
    w: Any = "a"
    bound: Any = KINDS[0]
    told: Any = KINDS[0]
    late: bool = False
    schema: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    database: str = "one"

    def statement(self) -> tuple[Any, Any]:
        statement, params = FORMS[self.form](self)
        if self.schema is not None and not isinstance(statement, str):
            statement = statement.execution_options(schema_translate_map={None: self.schema})
        return statement, params

    def bind(self, name: str, **options: Any) -> Any:
        """A named parameter, with the values' type, bound or written into the text when it is run."""
        return sa.bindparam(name, type_=self.bound, literal_execute=self.late, **options)


def of_columns(text: str, *columns: Any, **named: Any) -> Any:
    return sa.text(text).columns(*columns, **named)


def built_by_a_lambda(asked: Asked) -> Any:
    value = asked.v
    return sa.lambda_stmt(lambda: sa.select(TABLE).where(TABLE.c.word == value))


BOTH = "select word as x, n as y from t order by n"
FORMS: dict[str, Callable[[Asked], tuple[Any, Any]]] = {
    "places": lambda q: ("select ? as x, ? as y", (q.v, q.w)),
    "other places": lambda q: ("select ? as x,  ? as y", (q.v, q.w)),
    "one place": lambda q: ("select * from t where word = ?", [q.v]),
    "names": lambda q: ("select :v as x, :w as y", {"v": q.v, "w": q.w}),
    "table": lambda q: ("t", None),
    "plain": lambda q: ("select * from t", None),
    "text": lambda q: (sa.text("select :v as x, :w as y"), {"v": q.v, "w": q.w}),
    "text, the other way": lambda q: (sa.text("select :w as x, :v as y"), {"v": q.v, "w": q.w}),
    "text, one twice": lambda q: (sa.text("select :v as x, :v as y"), {"v": q.v}),
    "text, typed": lambda q: (
        sa.text("select :v as x, :w as y").bindparams(q.bind("v")),
        {"v": q.v, "w": q.w},
    ),
    "text, compared": lambda q: (sa.text("select 1 as x where :v = 1").bindparams(q.bind("v")), {"v": q.v}),
    "text, list": lambda q: (
        sa.text("select * from t where word in :vs").bindparams(q.bind("vs", expanding=True)),
        {"vs": [q.v, q.w]},
    ),
    "text, list of one": lambda q: (
        sa.text("select * from t where word in :vs").bindparams(q.bind("vs", expanding=True)),
        {"vs": [q.v]},
    ),
    "text, no list": lambda q: (
        sa.text("select * from t where word in :vs").bindparams(q.bind("vs", expanding=True)),
        {"vs": []},
    ),
    "by place": lambda q: (of_columns(BOTH, sa.column("y", q.told), sa.column("x", q.bound)), None),
    "by name": lambda q: (of_columns(BOTH, y=q.told, x=q.bound), None),
    "literals": lambda q: (sa.select(sa.literal(q.v).label("x"), sa.literal(q.w, q.bound).label("y")), None),
    "coerced value": lambda q: (sa.select(sa.type_coerce(q.v, q.told).label("x")), None),
    "coerced column": lambda q: (sa.select(sa.type_coerce(TABLE.c.word, q.told).label("x")), None),
    "cast": lambda q: (sa.select(sa.cast(TABLE.c.n, q.told)), None),
    "nameless": lambda q: (sa.select(sa.func.coalesce(sa.literal(q.v), q.w)), None),
    "compared": lambda q: (sa.select(TABLE).where(TABLE.c.word == q.v), None),
    "late": lambda q: (sa.select(TABLE.c.n).where(q.bind("v", value=q.v) == sa.literal_column("1")), None),
    "limit": lambda q: (sa.select(TABLE).limit(1 if q.late else 2), None),
    "list": lambda q: (sa.select(TABLE).where(TABLE.c.word.in_([q.v, q.w])), None),
    "not in list": lambda q: (sa.select(TABLE).where(TABLE.c.word.not_in([q.v, q.w])), None),
    "typed list": lambda q: (
        sa.select(TABLE).where(sa.column("word", q.bound).in_(q.bind("v", value=[q.v, q.w], expanding=True))),
        None,
    ),
    "pairs": lambda q: (
        sa.select(TABLE).where(sa.tuple_(sa.column("word", q.bound), TABLE.c.n).in_([(q.v, 1), (q.w, 2)])),
        None,
    ),
    "union": lambda q: (sa.union_all(sa.select(sa.literal(q.v)), sa.select(sa.literal(q.w))), None),
    "cte": lambda q: (sa.select(sa.select(TABLE).where(TABLE.c.word == q.v).cte("c")), None),
    "lambda": lambda q: (built_by_a_lambda(q), None),
    "entity": lambda q: (sa.select(Row).where(Row.word == q.v), None),
    "other entity": lambda q: (sa.select(aliased(Row)).where(aliased(Row).word == q.v), None),
}
OPTIONS: list[dict[str, Any]] = [
    *({}, {"index_col": "x"}, {"index_col": ["x"]}, {"coerce_float": False}, {"dtype": "str"}),
    *({"dtype": {"x": "str"}}, {"dtype_backend": "numpy_nullable"}, {"dtype_backend": "pyarrow"}),
    *({"parse_dates": ["x"]}, {"parse_dates": {"x": "%Y"}}, {"columns": ["n"]}),
]
CHOICES: dict[str, st.SearchStrategy[Any]] = {
    "form": st.sampled_from(list(FORMS)),
    "v": st.sampled_from(VALUES),
    "w": st.sampled_from(VALUES),
    "bound": st.sampled_from(KINDS),
    "told": st.sampled_from(KINDS),
    "late": st.booleans(),
    "schema": st.sampled_from([None, "main", "other"]),
    "options": st.sampled_from(OPTIONS),
    "database": st.sampled_from(["one", "two"]),
}
WHATEVER_THE_FORM = ["form", "schema", "options", "database"]
assert list(CHOICES) == [each.name for each in fields(Asked)]


class Spy:
    """Notes which parts of a question a form looks at."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.seen.add(name)
        return getattr(Asked(""), name)

    def bind(self, name: str, **options: Any) -> Any:
        self.seen |= {"bound", "late"}
        return Asked("").bind(name, **options)


def looked_at(form: str) -> list[str]:
    spy: Any = Spy()
    FORMS[form](spy)
    return sorted(spy.seen)


LOOKED_AT = {form: looked_at(form) for form in FORMS}


@st.composite
def neighbours(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Asked, Asked]:
    """Two questions that differ in one or two things that matter: far ones are easily told apart."""
    form = draw(CHOICES["form"])
    one = Asked(form, **{name: draw(CHOICES[name]) for name in LOOKED_AT[form]})
    one = replace(one, options=draw(st.just({}) | CHOICES["options"]))
    names = draw(st.sets(st.sampled_from([*LOOKED_AT[form] * 2, *WHATEVER_THE_FORM]), min_size=1, max_size=2))
    return one, replace(one, **{name: draw(CHOICES[name]) for name in sorted(names)})


# --- what a real database was asked, and what pandas made of its answer ------------------------------------


def told(value: Any) -> Any:
    """A driver's value; bytes are bytes, in whatever they are wrapped."""
    return bytes(value) if isinstance(value, memoryview) else value


class Witness:
    """Two SQLite databases of the same tables with other rows, and what their driver got."""

    def __init__(self, folder: Any) -> None:
        self.heard: list[Any] = []
        self.engines = {
            name: self._engine(folder / f"{name}.db", number) for number, name in enumerate("one two".split())
        }

    def _engine(self, path: Any, number: int) -> Engine:
        for file, shift in ((path, number), (f"{path}.other", number + 10)):
            with closing(sqlite3.connect(file)) as con, con:
                con.execute("create table t (n integer, word text)")
                rows = [(1 + shift, "a"), (2 + shift, "A"), (3 + shift, "1"), (4 + shift, "2024-01-02")]
                con.executemany("insert into t values (?, ?)", rows)
        # Without SQLAlchemy's cache, where statements meet that it takes for the same.
        engine = sa.create_engine(f"sqlite:///{path}", query_cache_size=0)
        listening.listen(engine, "connect", lambda con, _: con.execute(f"attach '{path}.other' as other"))
        listening.listen(engine, "before_cursor_execute", self._hear)
        return engine

    def _hear(self, con: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if not statement.startswith("PRAGMA") and "sqlite_master" not in statement:
            self.heard.append((statement, typed([told(value) for value in parameters])))

    def answer(self, asked: Asked) -> tuple[Any, Any]:
        """What the driver got, and the frame or the kind of error."""
        statement, params = asked.statement()
        self.heard.clear()
        try:
            frame = pd.read_sql(statement, self.engines[asked.database], params=params, **asked.options)
        except Exception as fault:  # noqa: BLE001  # of the driver, SQLAlchemy or pandas: all of them count
            frame = type(fault)
        return list(self.heard), frame

    def key(self, asked: Asked) -> str | None:
        """The key, None for a question that is not cached."""
        statement, params = asked.statement()
        source = source_of(self.engines[asked.database], statement)
        try:
            return question_of(PandasCall(statement, params=params, **asked.options), source, None).key.digest
        except NotCacheable:
            return None
        finally:
            source.close()


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    witness = Witness(tmp_path_factory.mktemp("witness"))
    yield witness
    for engine in witness.engines.values():
        engine.dispose()


def is_same(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
        return differences(one, other) == []
    return one is other


@given(pair=neighbours())
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_who_could_tell_two_questions_apart_finds_two_keys(
    witness: Witness, pair: tuple[Asked, Asked]
) -> None:
    with warnings.catch_warnings(action="ignore"):  # SQLAlchemy's and sqlite3's, of odd types for odd values
        keys = [witness.key(asked) for asked in pair]
        if None in keys:
            event("not cached")
            return
        (one, one_frame), (other, other_frame) = map(witness.answer, pair)
    if one == other and is_same(one_frame, other_frame) and pair[0].database == pair[1].database:
        event("alike")
        return
    event("apart")
    assert keys[0] != keys[1]


@given(asked=neighbours())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_question_that_is_put_together_again_finds_its_key(
    witness: Witness, asked: tuple[Asked, Asked]
) -> None:
    with warnings.catch_warnings(action="ignore"):
        assert witness.key(asked[0]) == witness.key(asked[0])


# --- what other drivers would get ---------------------------------------------------------------------------


def for_the_driver(statement: Any, params: Any, dialect: Any) -> Any:
    """The statement and the values as SQLAlchemy's own execution makes them."""
    compiled = statement.compile(dialect=dialect)
    state = compiled.construct_expanded_state(params, escape_names=False)
    processors = {**compiled._bind_processors, **state.processors}
    made = {
        name: processors[name](value) if callable(processors.get(name)) else value
        for name, value in state.parameters.items()
    }
    made = {name: told(value) for name, value in made.items()}
    return state.statement, typed([made[name] for name in state.positiontup] if state.positiontup else made)


def all_of(form: str) -> Iterator[Asked]:
    """Each question of a form, with a few values of each sort."""
    few = {"v": FEW, "w": ["a", 1], "bound": KINDS, "told": KINDS[:3], "late": [False, True]}
    for values in product(*(few[name] for name in LOOKED_AT[form])):
        yield Asked(form, **dict(zip(LOOKED_AT[form], values, strict=True)))


@pytest.mark.parametrize("name", DIALECTS)
def test_what_drivers_could_tell_apart_has_two_keys(name: str) -> None:
    dialect: Any = DIALECTS[name]
    seen: dict[str, str] = {}
    collisions = []
    with warnings.catch_warnings(action="ignore"):
        for asked in (asked for form in FORMS for asked in all_of(form)):
            statement, params = asked.statement()
            try:
                query = ask(statement, params, dialect=dialect, options={}, environment={})
                key = Key.of(query.parts()).digest
            except NotCacheable:
                continue
            if isinstance(statement, str):
                got = typed((statement, params))
            else:
                got = typed(for_the_driver(statement, params, dialect))
            if seen.setdefault(key, got) != got:
                collisions.append((asked, got, seen[key]))
    assert collisions == []
    assert len(seen) > 500


# --- what is made of a driver's values ----------------------------------------------------------------------

RAW: list[Any] = [
    *(
        None,
        0,
        1,
        1.5,
        "1",
        "a",
        "A",
        b"a",
        "1.50",
        Decimal("1.50"),
        "2024-01-02",
        "2024-01-02 03:04:05.000006",
    ),
    *(
        '{"a": 1}',
        "00000000-0000-0000-0000-000000000001",
        UUID(int=1).hex,
        datetime(2024, 1, 2),
        [1, 2],
        ["1"],
    ),
    *("1,a", "01:02:03", "x", 1.23456789),
]
SQLITES: Any = sqlite  # whose types have no annotations
RESULTS: list[Any] = [
    *KINDS[:-2],
    *(sa.Numeric(10, 3), sa.Numeric(decimal_return_scale=1), sa.Float(5), sa.Float(decimal_return_scale=2)),
    *(
        sa.Double(),
        sa.Time(),
        sa.Interval(),
        sa.Interval(native=False),
        sa.JSON(none_as_null=True),
        sa.Unicode(),
    ),
    *(sa.Enum("a"), sa.Enum("A"), sa.DateTime(timezone=True), sa.ARRAY(sa.Integer), sa.ARRAY(sa.Numeric)),
    *(sa.ARRAY(sa.Integer, as_tuple=True), sa.ARRAY(sa.Integer, dimensions=2), postgresql.ARRAY(sa.Integer)),
    *(postgresql.HSTORE(), postgresql.BIT(), postgresql.INET(), postgresql.JSONB(), postgresql.MONEY()),
    *(SQLITES.DATETIME(storage_format="%(year)04d"), SQLITES.DATE(storage_format="%(year)04d"), mysql.YEAR()),
    *(
        mysql.SET("1", "a"),
        mysql.SET("a", retrieve_as_bitwise=True),
        mysql.BIT(),
        mysql.DOUBLE(asdecimal=True),
    ),
    sa.Numeric().with_variant(sa.Float(), "sqlite"),
    sa.String().with_variant(sa.JSON(), "postgresql", "mysql"),
]


def made_of_raw_values(kind: Any, dialect: Any) -> list[str]:
    made = []
    for code, raw in product([None, 23, 701, 1700], RAW):  # PostgreSQL's int4, float8 and numeric
        try:
            process = kind.dialect_impl(dialect).result_processor(dialect, code)
            made.append(typed(raw if process is None else process(raw)))
        except Exception as fault:  # noqa: BLE001  # whatever a processor raises for what is not its own
            made.append(type(fault).__name__)
    return made


@pytest.mark.parametrize("name", DIALECTS)
def test_types_that_make_other_values_have_other_keys(name: str) -> None:
    dialect, found = DIALECTS[name], []
    for kind in RESULTS:
        try:
            query = ask(sa.select(sa.column("x", kind)), None, dialect=dialect, options={}, environment={})
            found.append((repr(kind), Key.of(query.parts()).digest, made_of_raw_values(kind, dialect)))
        except (NotCacheable, TypeError):  # a type of MySQL's own that another dialect cannot adapt
            continue
    assert len(found) > 30
    assert [
        (one, other)
        for (one, key, made), (other, other_key, other_made) in combinations(found, 2)
        if key == other_key and made != other_made
    ] == []
