"""What is asked: real statements of SQLAlchemy, for dialects that never connect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.mssql.base import MSDialect
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.ext.compiler import compiles, deregister
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.key import Key
from sqlcache_nb.query import Query, ask

SQLITE: Any = pysqlite.dialect()
POSTGRES: Any = psycopg.dialect()  # type: ignore[no-untyped-call]
MSSQL: Any = MSDialect()  # type: ignore[no-untyped-call]
DIALECTS = {"sqlite": SQLITE, "postgresql": POSTGRES}


class Base(DeclarativeBase):
    pass


class Flight(Base):
    __tablename__ = "flights"
    id: Mapped[int] = mapped_column(primary_key=True)
    carrier: Mapped[str]
    day: Mapped[date]


class Shouting(TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.upper()

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return None if value is None else value.lower()


FLIGHTS = sa.table("flights", sa.column("id", sa.Integer), sa.column("carrier", sa.String))
A, B = sa.column("a", sa.Integer), sa.column("b", sa.Integer)


def question(sql: Any, params: Any = None, dialect: Any = SQLITE, **options: Any) -> Query:
    return ask(sql, params, dialect=dialect, options=options, environment={})


def key(sql: Any, params: Any = None, dialect: Any = SQLITE, **options: Any) -> str:
    return Key.of(question(sql, params, dialect, **options).parts()).digest


# --- strings -------------------------------------------------------------------------------------------


def test_a_string_goes_to_the_driver_as_it_stands() -> None:
    asked = question(" SELECT 1+1 -- %s :x\n", [1, 2])
    assert (asked.kind, asked.sql, asked.params) == ("string", " SELECT 1+1 -- %s :x\n", [1, 2])


def test_a_string_needs_no_dialect() -> None:
    assert question("select ?", (1,), dialect=None).params == (1,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select 1+1", "select 1 + 1"),  # labels come from the text
        ("select count(*)", "select COUNT(*)"),
        ("select 1", "SELECT 1"),
        ('select "a"', "select 'a'"),
        ("select /*+ hint */ 1", "select 1"),
        ("select 5--1", "select 5 - -1"),
        ("select 1", sa.text("select 1")),  # % and :x mean different things
        (sa.text("select :a as x"), sa.text("select :b as x")),
    ],
)
def test_other_texts_are_other_questions(one: Any, other: Any) -> None:
    values = {"a": 1, "b": 1}
    one_params, other_params = (None if isinstance(sql, str) else values for sql in (one, other))
    assert key(one, one_params) != key(other, other_params)


# --- values --------------------------------------------------------------------------------------------

VALUES = [1, True, 1.0, Decimal(1), Decimal("1.0"), "1", b"1", None, date(2024, 1, 1), "2024-01-01"]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_values_are_told_apart_by_type(dialect: Any) -> None:
    keys = [key(sa.text("select :x"), {"x": value}, dialect) for value in VALUES]
    assert len(set(keys)) == len(VALUES)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_literal_in_a_statement_is_a_value(dialect: Any) -> None:
    five, six = (sa.select(FLIGHTS).where(FLIGHTS.c.id == number) for number in (5, 6))
    assert question(five, dialect=dialect).sql == question(six, dialect=dialect).sql
    assert key(five, dialect=dialect) != key(six, dialect=dialect)
    assert key(five, dialect=dialect) == key(sa.select(FLIGHTS).where(FLIGHTS.c.id == 5), dialect=dialect)


def test_the_order_of_placeholders_matters() -> None:
    """Both are `?, ?` on SQLite."""
    forth, back = sa.text("select :a - :b"), sa.text("select :b - :a")
    values = {"a": 1, "b": 2}
    assert question(forth, values).sql == question(back, values).sql
    assert key(forth, values) != key(back, values)
    assert key(sa.text("select :a - :a"), {"a": 1}) != key(sa.text("select :a - :b"), {"a": 1, "b": 1})


def test_the_order_of_a_mapping_does_not_matter() -> None:
    statement = sa.text("select :a, :b")
    assert key(statement, {"a": 1, "b": 2}) == key(statement, {"b": 2, "a": 1})


def test_a_value_that_the_statement_does_not_name_is_no_part_of_the_question() -> None:
    assert key(sa.text("select :a"), {"a": 1, "z": 2}) == key(sa.text("select :a"), {"a": 1})


def test_a_bound_default_counts_until_a_value_is_given() -> None:
    statement = sa.text("select :a").bindparams(a=1)
    assert question(statement).params == {"a": 1}
    assert question(statement, {"a": 2}).params == {"a": 2}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_an_unbound_value_is_refused(dialect: Any) -> None:
    with pytest.raises(NotCacheable):
        question(sa.text("select :x"), None, dialect)


def test_several_sets_of_values_are_refused() -> None:
    with pytest.raises(NotCacheable, match="several sets"):
        question(sa.text("select :x"), [{"x": 1}, {"x": 2}])


def test_names_that_must_be_escaped_are_kept() -> None:
    statement = sa.text("select 1").columns(A)
    odd = sa.select(statement.subquery()).where(sa.column("a") == sa.bindparam("a%(b)", 7))
    assert question(odd, dialect=POSTGRES).params == {"a%(b)": 7}


# --- IN ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_ten_thousand_values_are_not_rendered(dialect: Any) -> None:
    """Rendering them costs a thousand times what compiling does, and only the values tell anyway."""
    statement = sa.select(FLIGHTS).where(FLIGHTS.c.id.in_(range(10_000)))
    asked = question(statement, dialect=dialect)
    assert len(asked.sql) < 300
    assert isinstance(asked.params, Mapping)
    assert list(asked.params.values()) == [list(range(10_000))]


def test_lists_of_another_length_or_order_are_other_questions() -> None:
    text = sa.text("select * from t where a in :xs").bindparams(sa.bindparam("xs", expanding=True))
    lists: list[list[Any]] = [[], [1], [1, 2], [2, 1], [1, 1], ["1"], [None], [True]]
    assert len({key(text, {"xs": values}) for values in lists}) == len(lists)
    core = [sa.select(A).where(A.in_(values)) for values in ([], [1], [1, 2])]
    assert len(set(map(key, core))) == 3


def test_tuples_in_lists_are_values() -> None:
    pairs = [sa.select(A).where(sa.tuple_(A, B).in_(values)) for values in ([(1, 2)], [(2, 1)], [(1, 3)])]
    assert len(set(map(key, pairs))) == 3


def test_tuples_are_bound_by_the_types_of_their_places() -> None:
    """The same text and the same values for two types, and other values for the driver."""
    word: list[Any] = [sa.column("a", kind) for kind in (sa.String, Shouting)]
    plain, loud = (sa.select(A).where(sa.tuple_(each, B).in_([("x", 1)])) for each in word)
    assert question(plain).sql == question(loud).sql
    assert question(loud).params == {"param_1": [("X", 1)]}
    assert key(plain) != key(loud)


def test_the_casts_of_a_list_are_part_of_the_question() -> None:
    """They are written into the text when it is run, and a day is not a moment."""
    moment = [datetime(2024, 1, 1, 12)]
    day, time = (
        sa.select(A).where(A.in_(sa.bindparam("x", moment, kind, expanding=True)))
        for kind in (sa.Date, sa.DateTime)
    )
    assert question(day, dialect=POSTGRES).sql == question(time, dialect=POSTGRES).sql
    assert key(day, dialect=POSTGRES) != key(time, dialect=POSTGRES)


@pytest.mark.parametrize("expanding", [True, False])
def test_what_can_be_read_only_once_is_left_to_pandas(expanding: bool) -> None:
    values = iter([date(2024, 1, 1)])
    parameter = sa.bindparam("x", type_=sa.Date, expanding=expanding)
    with pytest.raises(NotCacheable, match=":x can be read only once"):
        question(sa.text("select 1 where a in :x").bindparams(parameter), {"x": values})
    assert list(values) == [date(2024, 1, 1)]


# --- what is compiled ---------------------------------------------------------------------------------------

SELECTS: dict[str, Callable[[], Any]] = {
    "core": lambda: sa.select(FLIGHTS.c.id),
    "orm": lambda: sa.select(Flight),
    "orm columns": lambda: sa.select(Flight.id, Flight.day),
    "union": lambda: sa.union_all(sa.select(FLIGHTS.c.id), sa.select(sa.literal(1))),
    "cte": lambda: sa.select(sa.select(FLIGHTS.c.id).cte("x")),
    "values": lambda: sa.select(sa.values(A, name="v").data([(1,), (2,)])),
    "text with columns": lambda: sa.text("select 1 as a").columns(A),
    "limit": lambda: sa.select(FLIGHTS.c.id).limit(5),
    "anonymous label": lambda: sa.select(sa.func.count(FLIGHTS.c.id)),
    "bound label": lambda: sa.select(sa.literal(5) + 1),
    "anonymous subquery": lambda: sa.select(sa.select(FLIGHTS.c.id * 2).subquery()),
    "anonymous alias": lambda: sa.select(FLIGHTS.alias().c.id),
}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("build", SELECTS.values(), ids=SELECTS)
def test_a_statement_that_is_built_again_is_the_same_question(build: Callable[[], Any], dialect: Any) -> None:
    """Anonymous names hold the address of an object until they are compiled."""
    statements = [build() for _ in range(3)]  # all alive, so that no address is used twice
    assert question(statements[0], dialect=dialect).kind == "select"
    assert len({key(statement, dialect=dialect) for statement in statements}) == 1


def test_selects_are_told_apart() -> None:
    keys = {key(build()) for build in SELECTS.values()}
    assert len(keys) == len(SELECTS)


def test_dialects_are_told_apart_by_their_text() -> None:
    statement = sa.select(FLIGHTS.c.id).limit(5)
    assert "TOP" in question(statement, dialect=MSSQL).sql
    assert "LIMIT" in question(statement).sql


def of_closure(value: Any) -> Any:
    return sa.lambda_stmt(lambda: sa.select(FLIGHTS).where(FLIGHTS.c.id == value))


def test_a_lambda_is_the_statement_that_it_makes() -> None:
    """With the values that its closure has now, and not those that SQLAlchemy saw first."""
    assert question(of_closure(5)).params == {"value_1": 5}
    assert question(of_closure(6)).params == {"value_1": 6}
    assert len({key(of_closure(value)) for value in (5, 6, 5, "5", None)}) == 4
    more = of_closure(5)
    more += lambda statement: statement.where(FLIGHTS.c.carrier == "AA")
    assert key(more) != key(of_closure(5))
    with pytest.raises(NotCacheable, match="statement of type Insert"):
        question(sa.lambda_stmt(lambda: sa.insert(FLIGHTS)))


def tables() -> list[Any]:
    table = sa.Table("t", sa.MetaData(), sa.Column("x", sa.Integer))
    return [sa.select(table).execution_options(schema_translate_map={None: name}) for name in ("one", "two")]


def test_a_statements_schema_translate_map_tells_tables_apart() -> None:
    """The same text, and the same cache key in SQLAlchemy: another table. To refuse it is right, too."""
    one, two = tables()
    try:
        keys = key(one), key(two)
    except NotCacheable:
        return
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "statement",
    [
        sa.insert(FLIGHTS).values(id=1),
        sa.update(FLIGHTS).values(id=1),
        sa.delete(FLIGHTS),
        sa.insert(FLIGHTS).values(id=1).returning(FLIGHTS.c.id),
        sa.schema.CreateTable(sa.Table("t", sa.MetaData())),
        FLIGHTS,
        sa.func.now(),
        sa.quoted_name("flights", None),
        b"select 1",
        5,
        None,
    ],
    ids=lambda statement: type(statement).__name__,
)
def test_what_is_no_select_is_refused(statement: Any) -> None:
    with pytest.raises(NotCacheable, match="statement of type"):
        question(statement)


def test_a_statement_for_a_connection_of_strings_is_refused() -> None:
    with pytest.raises(NotCacheable):
        question(sa.text("select 1"), dialect=None)


def test_what_does_not_compile_is_refused() -> None:
    with pytest.raises(NotCacheable, match="does not compile"):
        question(sa.select(sa.cast(A, sa.types.NullType())))


# --- values that are made --------------------------------------------------------------------------------------


def test_a_callable_value_is_refused_and_not_called() -> None:
    """Pandas is to have the first value that it makes."""
    numbers = iter(range(100))
    parameter = sa.bindparam("x", callable_=lambda: next(numbers), type_=sa.Integer)
    statement = sa.select(FLIGHTS).where(FLIGHTS.c.id == parameter)
    with pytest.raises(NotCacheable, match=":x is made by a function"):
        question(statement)
    assert next(numbers) == 0
    assert question(statement, {"x": 7}).params == {"x": 7}


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_null_is_bound_by_its_type_too(dialect: Any) -> None:
    """In JSON it is a text; in other types it is none."""
    null, json = (
        sa.text("select :x").bindparams(sa.bindparam("x", None, kind)) for kind in (sa.String, sa.JSON)
    )
    assert question(null, dialect=dialect).sql == question(json, dialect=dialect).sql or dialect is POSTGRES
    assert key(null) != key(json)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_literal_that_is_written_late_is_part_of_the_question(dialect: Any) -> None:
    """1 and '1' are written by the parameter's type, when the statement is run."""
    number, word = (
        sa.text("select 1 where :x = 1").bindparams(sa.bindparam("x", "1", kind, literal_execute=True))
        for kind in (sa.Integer, sa.String)
    )
    assert question(number, dialect=dialect).sql == question(word, dialect=dialect).sql
    assert key(number, dialect=dialect) != key(word, dialect=dialect)


def test_a_literal_that_cannot_be_written_is_refused() -> None:
    parameter = sa.bindparam("x", object(), sa.Integer, literal_execute=True)
    with pytest.raises(NotCacheable, match=":x cannot be bound"):
        question(sa.text("select :x").bindparams(parameter))


def test_bytes_that_are_none_are_refused() -> None:
    statement = sa.text("select :x").bindparams(sa.bindparam("x", "a", sa.LargeBinary))
    with pytest.raises(NotCacheable, match=":x cannot be bound"):
        question(statement)
    assert question(statement, {"x": b"a"}).params == {"x": b"a"}


def test_values_are_those_that_reach_the_driver() -> None:
    loud, quiet = (sa.text("select :x").bindparams(sa.bindparam("x", v, Shouting)) for v in ("ABC", "abc"))
    assert question(loud).params == question(quiet).params == {"x": "ABC"}
    plain = sa.text("select :x").bindparams(sa.bindparam("x", "abc", sa.String))
    assert key(quiet) != key(plain)


def test_each_value_of_a_list_is_processed() -> None:
    parameter = sa.bindparam("xs", ["a", "b"], Shouting, expanding=True)
    assert question(sa.text("select 1 where 'A' in :xs").bindparams(parameter)).params == {"xs": ["A", "B"]}


def test_a_value_that_cannot_be_bound_is_refused_without_showing_it() -> None:
    statement = sa.text("select :x").bindparams(sa.bindparam("x", "hunter2", sa.Date))
    with pytest.raises(NotCacheable, match=":x cannot be bound") as caught:
        question(statement)
    assert "hunter2" not in str(caught.value)


# --- result types --------------------------------------------------------------------------------------------------

TYPES: dict[str, Any] = {
    "integer": sa.Integer(),
    "string": sa.String(),
    "date": sa.Date(),
    "datetime": sa.DateTime(),
    "Decimal": sa.Numeric(),
    "float of NUMERIC": sa.Numeric(asdecimal=False),
    "float": sa.Float(),
    "Decimal of FLOAT": sa.Float(asdecimal=True),
    "scale": sa.Numeric(10, 2),
    "boolean": sa.Boolean(),
    "json": sa.JSON(),
    "blob": sa.LargeBinary(),
    "uuid": sa.Uuid(),
    "uuid as text": sa.Uuid(as_uuid=False),
    "interval": sa.Interval(),
    "none": sa.types.NullType(),
}


def of_type(kind: Any) -> Query:
    return question(sa.select(sa.column("x", kind)))


def test_result_types_tell_questions_apart() -> None:
    """The same SQL and values give other Python values: Decimal or float, dict or str."""
    asked = list(map(of_type, TYPES.values()))
    assert {query.sql for query in asked} == {"SELECT x"}
    assert len({Key.of(query.parts()).digest for query in asked}) == len(TYPES)


@pytest.mark.parametrize(
    ("usual", "here"), [(sa.Numeric(), sa.Numeric(asdecimal=False)), (sa.JSON(), sa.String())], ids=repr
)
def test_a_type_for_this_dialect_alone_tells_questions_apart(usual: Any, here: Any) -> None:
    variant = usual.with_variant(here, "sqlite")
    assert Key.of(of_type(variant).parts()).digest != Key.of(of_type(usual).parts()).digest


def test_types_by_name_and_by_place_are_told_apart() -> None:
    text = sa.text("select 1.5 as a, 2.5 as b")
    by_place = text.columns(sa.column("b", sa.Numeric), sa.column("a", sa.Float))
    by_name = text.columns(b=sa.Numeric(), a=sa.Float())
    assert question(by_place).result_types == question(by_name).result_types
    assert key(by_place) != key(by_name)


def test_a_type_of_another_dialect_changes_nothing_here() -> None:
    kind = sa.Numeric().with_variant(sa.Numeric(asdecimal=False), "mysql")
    result = question(sa.select(sa.column("x", kind))).result_types
    assert len(result) == 1
    assert "Numeric" in str(result[0][1])


@pytest.mark.parametrize(
    "kind",
    [
        Shouting(),
        sa.ARRAY(Shouting()),
        sa.String().with_variant(Shouting(), "postgresql"),
    ],
    ids=["plain", "inside an array", "for this dialect alone"],
)
def test_a_type_of_ones_own_is_refused(kind: Any) -> None:
    """Its code may change under the same name."""
    with pytest.raises(NotCacheable, match="column x has a type of your own"):
        question(sa.select(sa.column("x", kind)), dialect=POSTGRES)


def test_a_type_of_ones_own_that_makes_no_column_is_no_obstacle() -> None:
    statement = sa.select(FLIGHTS.c.id).where(sa.column("x", Shouting()) == "abc")
    assert question(statement).params == {"x_1": "ABC"}


# --- the rest of the question -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"index_col": "a"}, {"index_col": ["a"]}, {"coerce_float": False}, {"dtype": {"a": "int64"}}],
)
def test_options_tell_questions_apart(options: dict[str, Any]) -> None:
    assert key("select 1", **options) != key("select 1")


def test_the_environment_tells_questions_apart() -> None:
    def in_environment(**environment: object) -> str:
        asked = ask("select 1", None, dialect=None, options={}, environment=environment)
        return Key.of(asked.parts()).digest

    assert in_environment(pandas="2.2") != in_environment(pandas="3.1")


# --- what is compiled once ---------------------------------------------------------------------------------


def test_one_text_with_other_types_or_values_is_another_question() -> None:
    def bound(kind: Any, value: Any) -> Any:
        return sa.text("select :a").bindparams(sa.bindparam("a", value, type_=kind))

    statements = [bound(sa.Integer(), 1), bound(sa.String(), 1), bound(sa.Integer(), 2), sa.text("select :a")]
    for _ in range(2):
        keys = [
            key(statement, {"a": 1} if at == 3 else None, POSTGRES) for at, statement in enumerate(statements)
        ]
        assert len(set(keys)) == 4
    assert question(statements[0], {"a": 5}, POSTGRES).params == {"a": 5}
    assert question(statements[0], None, POSTGRES).params == {"a": 1}
    assert question(statements[0], None, SQLITE).sql == "select ?"


def test_a_value_that_was_given_once_is_not_given_for_ever() -> None:
    assert question(sa.text("select :a"), {"a": 1}).params == {"a": 1}
    with pytest.raises(NotCacheable):
        question(sa.text("select :a"))


def test_a_type_that_somebody_compiles_anew_is_compiled_anew() -> None:
    statement = sa.text("select :day").bindparams(
        sa.bindparam("day", type_=sa.Date(), value=date(2024, 1, 1))
    )
    before = question(statement, None, POSTGRES).sql
    for name in ("ONE", "OTHER"):
        compiles(sa.Date, "postgresql")(lambda kind, compiler, name=name, **kw: name)
        try:
            assert question(statement, None, POSTGRES).sql == before.replace("DATE", name) != before
        finally:
            deregister(sa.Date)
    assert question(statement, None, POSTGRES).sql == before
