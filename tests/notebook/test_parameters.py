"""Which colons are parameters, and which values they get."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, text
from sqlalchemy.engine.default import DefaultDialect

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.parameters import Parameter, Statement, look_up, look_up_in, plain, scan

NAMED = DefaultDialect(paramstyle="named")


def compiled(sql: str) -> str:
    """What SQLAlchemy makes of the escaped SQL: the original, where nothing but parameters is bound."""
    return str(text(sql).compile(dialect=NAMED))


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select :x", ("x",)),
        ("select :x, :y, :x", ("x", "y")),
        (":x", ("x",)),
        ("select(:x)", ("x",)),
        ("a=:x and b<:y", ("x", "y")),
        ("select :x::int", ("x",)),
        ("select :größe", ("größe",)),
        ("limit :n;", ("n",)),
        ("j->:key", ("key",)),
        ("j ?:key", ("key",)),
        ("select /* c */:x", ("x",)),
        ("arr[(:n)], arr[1:(:n)], arr[f(:n)]", ("n",)),
        ("array[1, :n]", ("n",)),
        ("[x for x in l if x in :n and :m]", ("n", "m")),
        ("{'a': :x, 'b': 1 + :y}", ("x", "y")),
        ("{'a': case when :x then 1 end}", ("x",)),
        ("$1, :x", ("x",)),
        ("a$b, :x, c$d", ("x",)),
        (r"select '\', :x", ("x",)),
    ],
)
def test_parameters(sql: str, names: tuple[str, ...]) -> None:
    assert scan(sql).names == names
    assert compiled(scan(sql).for_sqlalchemy()) == sql


@pytest.mark.parametrize(
    "sql",
    [
        "x::int, x::varchar(3)",
        "1:::int",
        "':no', 'it''s :no', '':no",
        '":no", "a"":no"',
        "`:no`",
        "-- :no",
        "select 1 -- it's :no\n",
        "/* :no */",
        "/* open :no",
        "'open :no",
        "$$ :no $$",
        "$tag$ :no $$ :no $tag$",
        r"E'\':no', e'a\\\':no'",
        "j->':k', j->>':k'",
        "v:field.sub, v:a:b",
        '"SRC":city',
        "v['a']:b, v[0]:b",
        "parse_json(x):b",
        "{'a':x}, {'a' :x}, {a :x}, {:x}",
        "'hello'[:2], 'hello'[1:2], arr[1:n], arr[1 :n], arr[a:b], arr[f(1):n]",
        "12:30, '12:30', 12:30:15",
        "a :=b, a := b, @a:=b",
        "a : b",
        r"\:no",
        "$:no",
        "json.a.:Int64",
        ":x$1"[2:],
        ":1",
        ":",
        "",
    ],
)
def test_no_parameters(sql: str) -> None:
    assert scan(sql).names == ()
    assert compiled(scan(sql).for_sqlalchemy()) == sql


@pytest.mark.parametrize(
    ("sql", "dialect", "names"),
    [
        (r"'it\'s :no', :x", "mysql", ("x",)),
        (r"'\' , :x", "sqlite", ("x",)),
        (r'"it\"s :no", :x', "mysql", ("x",)),
        ("/* /* */ :no */ :x", "postgresql", ("x",)),
        ("/* /* */ :x", "sqlite", ("x",)),
        ("/* /* */ :x", "duckdb", ("x",)),
        ("1 # :no\n, :x", "mysql", ("x",)),
        ("a #:x", "postgresql", ("x",)),
        ("5--:x", "mysql", ("x",)),
        ("5--:no", "sqlite", ()),
        ("[it's :no], :x", "sqlite", ("x",)),
        ("[a]] :no], :x", "mssql", ("x",)),
    ],
)
def test_each_database_reads_its_own_sql(sql: str, dialect: str, names: tuple[str, ...]) -> None:
    assert scan(sql, dialect).names == names


@pytest.mark.parametrize("dialect", ["", "sqlite", "duckdb", "postgresql"])
@pytest.mark.parametrize("sql", ["select arr[:n]", "select arr[:n:2]", "array[:n, 1]"])
def test_after_a_bracket_nobody_can_tell(sql: str, dialect: str) -> None:
    with pytest.raises(NotebookError, match=r"write \(:n\)"):
        scan(sql, dialect)
    assert scan(f"select '{sql}'", dialect).names == ()


@pytest.mark.parametrize(
    ("sql", "parameter"),
    [
        ("a in :x", Parameter("x", "in ")),
        ("a NOT IN\n :x", Parameter("x", "NOT IN\n ")),
        ("a in (:x)", Parameter("x", "in ", "(", ")")),
        ("a not /* c */ in( :x )", Parameter("x", "not /* c */ in", "( ", " )")),
        ("in :x", Parameter("x", "in ")),
        ("a in (:x, 1)", Parameter("x")),
        ("a in (1, :x)", Parameter("x")),
        ("a in (select :x)", Parameter("x")),
        ("any(:x)", Parameter("x")),
        ('a "in" (:x)', Parameter("x")),
    ],
)
def test_places_where_a_list_may_stand(sql: str, parameter: Parameter) -> None:
    statement = scan(sql)
    assert [piece for piece in statement.pieces if isinstance(piece, Parameter)] == [parameter]
    assert statement.typed == sql


def test_parentheses_are_folded_only_around_lists() -> None:
    statement = scan("a in (:x) and b in (:y)")
    assert statement.for_sqlalchemy({"x": "{}LIST".format}) == "a in LIST and b in (:y)"


def test_a_list_expands() -> None:
    statement = scan("a::text in (:x) or b = :y")
    lists = statement.lists({"x": [1, 2], "y": [3]})
    assert lists == {"x"}
    clause = text(statement.for_sqlalchemy({"x": "{}:x".format})).bindparams(bindparam("x", expanding=True))
    rendered = clause.bindparams(x=[1, 2], y=3).compile(compile_kwargs={"render_postcompile": True})
    assert str(rendered) == "a::text in (:x_1, :x_2) or b = :y"


def test_a_list_in_two_roles_is_refused() -> None:
    with pytest.raises(NotebookError, match=":x is a list"):
        scan("a in :x or b = any(:x)").lists({"x": [1]})


# --- properties -----------------------------------------------------------------------------------

FILLING = st.text(alphabet="ab:x \n()[]{},\\-;=$1")


def quotings(filling: str) -> list[tuple[str, str]]:
    """The filling in each kind of quotes that it cannot end."""
    return [
        ("", f"'{filling}'"),
        ("", f'"{filling}"'),
        ("", f"`{filling}`"),
        ("", f"$q${filling}$q$"),
        ("", f"$${filling.replace('$', '')}$$"),
        ("", f"/*{filling.replace('*', '')}*/"),
        ("", "-- " + filling.replace("\n", " ") + "\n"),
        ("mysql", "'" + filling.replace("\\", "\\\\") + "'"),
        ("", "E'" + filling.replace("\\", "\\\\") + "\\':x'"),
    ]


@given(FILLING, st.integers(0, 8))
def test_quoted_text_never_holds_a_parameter(filling: str, kind: int) -> None:
    dialect, quoted = quotings(filling)[kind]
    assert scan(f"select {quoted} , :real", dialect).names == ("real",)


@given(st.text(alphabet="ab:x '\"`\n()[]{},\\-/*;=$1?in%éE"))
def test_sqlalchemy_gives_back_what_was_typed(sql: str) -> None:
    try:
        statement = scan(sql)
    except NotebookError:
        return
    escaped = text(statement.for_sqlalchemy())
    assert statement.typed == sql
    assert str(escaped.compile(dialect=NAMED)) == sql
    assert set(escaped._bindparams) == set(statement.names)


@given(st.text(), st.sampled_from(["", "mysql", "sqlite", "mssql", "postgresql"]))
def test_no_letter_is_lost(sql: str, dialect: str) -> None:
    try:
        assert scan(sql, dialect).typed == sql
    except NotebookError as fault:
        assert "can be a slice or a parameter" in str(fault)  # noqa: PT017  # both ends are right


@given(st.lists(st.sampled_from([":a", ":bb", "::int", "'x:y'", ",", "(", ")", "in", "\n"])))
def test_a_statement_is_what_was_scanned(words: list[str]) -> None:
    sql = " ".join(words)
    rendered = scan(sql).render("<{}>".format)
    bare = sql.replace(":a", "<a>").replace(":bb", "<bb>")
    assert rendered == bare


# --- values ---------------------------------------------------------------------------------------


def test_the_nearest_scope_wins() -> None:
    assert look_up(["x", "y"], {"x": 1}, {"x": 2, "y": 3}) == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (print, ":x is a function, not a value"),
        (lambda: 1, ":x is a function, not a value"),
        (math, ":x is a module, not a value"),
        (Decimal, ":x is a class, not a value"),
    ],
)
def test_what_is_no_value(value: object, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        look_up(["x"], {"x": value}, {"x": 1})
    assert str(fault.value) == says


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((each for each in [1]), ":x is a generator: give a list"),
        ({"a": 1}.keys(), ":x is a dict_keys: give a list"),
        (pd.DataFrame({"a": [1]}), ":x is a DataFrame: give one of its columns"),
    ],
)
def test_what_no_database_takes(value: object, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        look_up(["x"], {"x": value})
    assert str(fault.value) == says


@pytest.mark.parametrize(
    ("sql", "value", "says"),
    [
        ("a in :x", 5, ":x is an int: IN takes a list"),
        ("a in :x", {"a": 1}, ":x is a dict: IN takes a list"),
        ("a not in (:x)", {"a": 1}, ":x is a dict: IN takes a list"),
    ],
)
def test_after_in_stands_a_list(sql: str, value: object, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        scan(sql).lists({"x": value})
    assert str(fault.value) == says
    assert scan("a in (:x)").lists({"x": 5}) == frozenset()


def test_builtins_are_not_looked_at() -> None:
    with pytest.raises(NotebookError, match=r"^:id is not defined: set it, or give --params$"):
        look_up(["id"], {"__builtins__": __builtins__})


def test_an_undefined_name_shows_names_but_no_value() -> None:
    scope = {"carier": "SECRET", "_carriers": "SECRET", "carries": print, "password": "SECRET"}
    with pytest.raises(NotebookError) as fault:
        look_up(["carrier"], scope)
    assert str(fault.value) == ":carrier is not defined (did you mean carier?): set it, or give --params"


def test_values_from_a_dict() -> None:
    scopes = ({"wanted": {"x": 1}}, {"x": 2})
    assert look_up_in("wanted", ["x"], *scopes) == {"x": 1}


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("wantd", "--params wantd: not defined (did you mean wanted?)"),
        ("number", "--params number: a dict is needed, not an int"),
        ("wanted", ":y is not defined in --params wanted"),
    ],
)
def test_faults_of_the_dict(variable: str, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        look_up_in(variable, ["y"], {"wanted": {"x": 1}, "number": 5, "y": 7})
    assert str(fault.value) == says


def same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(5), 5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(5), 5),
        (np.datetime64("2013-01-02"), date(2013, 1, 2)),
        (np.datetime64("2013-01-02T03:04"), datetime(2013, 1, 2, 3, 4)),
        (np.datetime64("2013-01-02T03:04", "ns"), datetime(2013, 1, 2, 3, 4)),
        (np.timedelta64(90, "m"), timedelta(minutes=90)),
        (np.timedelta64(5_000, "ns"), timedelta(microseconds=5)),
        (np.array(["2013-01-02T03:04"], "datetime64[ns]"), [datetime(2013, 1, 2, 3, 4)]),
        (pd.Timedelta("90min"), timedelta(minutes=90)),
        (pd.Timestamp("2013-01-02 03:04"), pd.Timestamp("2013-01-02 03:04").to_pydatetime()),
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (np.array([1, 2]), [1, 2]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (pd.Index([1, 2]), [1, 2]),
        ([np.int64(1)], [1]),
        ([(1, 2)], [(1, 2)]),
        ("text", "text"),
        (None, None),
        (Decimal("1.0"), Decimal("1.0")),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_values_as_drivers_take_them(value: object, expected: object) -> None:
    assert same(plain(value), expected)


def test_items_of_lists_are_python_scalars() -> None:
    items = plain(np.array([1, 2]))
    assert isinstance(items, list)
    assert [type(item) for item in items] == [int, int]


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64(1, "ns"),
        np.timedelta64(1, "ns"),
        np.timedelta64(1, "Y"),
        np.datetime64("NaT", "ns"),
        pd.NaT,
        pd.NA,
        pd.Timestamp(1),
        pd.Timedelta(1),
    ],
)
def test_what_python_cannot_say_as_exactly_is_left_alone(value: object) -> None:
    assert plain(value) is value


def test_a_set_of_many_types_has_an_order() -> None:
    assert plain({"b", 2, None, 1.5, "a"}) == [None, 1.5, 2, "a", "b"]


def test_statement_without_parameters() -> None:
    assert Statement(("select 1",)).names == ()
