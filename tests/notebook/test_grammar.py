"""What a person types, and what it is read as."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.grammar import (
    CellRequest,
    Check,
    Clear,
    Connect,
    Help,
    Info,
    Invalidate,
    LineQuery,
    List,
    Options,
    Pin,
    Stats,
    parse_cell,
    parse_line,
    usage_hint,
)
from sqlcache_nb.policy import Policy


@pytest.mark.parametrize(
    ("line", "con", "target"),
    [
        ("", None, None),
        ("db", "db", None),
        ("db out <<", "db", "out"),
        ("db out<<", "db", "out"),
        ("db out = <<", "db", "out"),
        ("db out =<<", "db", "out"),
        ("db out=<<", "db", "out"),
        ("db out= <<", "db", "out"),
        ("out <<", None, "out"),
        ("out = <<", None, "out"),
        ("größe <<", None, "größe"),
        (
            "postgresql://ann:$PW@db:5432/sales?sslmode=require",
            "postgresql://ann:$PW@db:5432/sales?sslmode=require",
            None,
        ),
        ("sqlite:////data/it's.db", "sqlite:////data/it's.db", None),
        ('"sqlite:////my data/f.db" out <<', "sqlite:////my data/f.db", "out"),
        (r"sqlite:///C:\data\f.db", r"sqlite:///C:\data\f.db", None),
    ],
)
def test_connection_and_target(line: str, con: str | None, target: str | None) -> None:
    assert parse_cell(line) == CellRequest(con, target)


def test_every_option() -> None:
    line = "--ttl 1h --refresh --no-store --name 'my result' --tag a --tag=b --params values --quiet --write"
    assert parse_cell(line).options == Options(
        ttl="1h",
        refresh=True,
        no_store=True,
        name="my result",
        tag=("a", "b"),
        params="values",
        quiet=True,
        write=True,
    )


def test_every_option_of_a_policy() -> None:
    line = "--offline --stale-while-revalidate 1h --stale-if-error=7d --validate true --ttl today"
    options = parse_cell(line).options
    assert options == Options(
        ttl="today",
        offline=True,
        stale_while_revalidate="1h",
        stale_if_error="7d",
        validate=True,
    )
    assert options.policy == {
        "ttl": "today",
        "offline": True,
        "stale_while_revalidate": "1h",
        "stale_if_error": "7d",
        "validate": True,
    }


def test_a_switch_that_was_not_typed_says_nothing() -> None:
    said = Options().policy
    assert not said.keys() & {"refresh", "no_store", "offline"}
    assert set(said.values()) == {None}
    assert Policy(**said) == Policy()
    assert Options(validate=False).policy["validate"] is False


@pytest.mark.parametrize(
    ("typed", "validate"),
    [
        ("auto", "auto"),
        ("True", True),
        ("false", False),
        ("snapshot", "snapshot"),
        ("'select max(updated_at) from t'", "select max(updated_at) from t"),
        ("\"select max(at) from t where x = 'a'\"", "select max(at) from t where x = 'a'"),
    ],
)
@pytest.mark.parametrize("between", [" ", "="])
def test_validate(typed: str, validate: str | bool, between: str) -> None:
    option = f"--validate{between}{typed}"
    assert parse_cell(f"db {option} out <<").options.validate == validate
    request = parse_line(f"{option} SELECT 1")
    assert request == LineQuery("SELECT 1", Options(validate=validate))


@given(
    st.text().filter(
        lambda text: '"' not in text and text.strip().lower() not in ("", "auto", "true", "false")
    )
)
def test_sql_of_ones_own_is_one_word_in_quotes(sql: str) -> None:
    assert parse_line(f'--validate "{sql}" db SELECT 1', lambda word: word == "db") == LineQuery(
        "SELECT 1", Options(validate=sql), "db"
    )
    assert parse_cell(f'db --validate="{sql}" out <<') == CellRequest("db", "out", Options(validate=sql))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "ttl": st.sampled_from(["90s", "today", "session", "forever", "0"]),
            "refresh": st.just(True),
            "no_store": st.just(True),
            "offline": st.just(True),
            "stale_while_revalidate": st.sampled_from(["90s", "7d"]),
            "stale_if_error": st.sampled_from(["1h", "0"]),
            "validate": st.sampled_from(["auto", "select max(a) from t", "own"]),
        },
    )
)
def test_what_is_typed_is_what_the_policy_says(said: dict[str, str | bool]) -> None:
    words = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" '{value}'")
        for name, value in said.items()
    ]
    policy = parse_cell(" ".join(words)).options.policy
    assert {name: value for name, value in policy.items() if value is not None} == said


def test_options_stand_in_any_order() -> None:
    parts = ["db", "--ttl 1h", "--refresh", "--name=n", "out <<"]
    requests = {
        parse_cell(" ".join(order))
        for order in itertools.permutations(parts)
        if order.index("db") < order.index("out <<")
    }
    assert requests == {CellRequest("db", "out", Options(ttl="1h", refresh=True, name="n"))}


def test_options_may_part_the_name_from_its_arrow() -> None:
    assert parse_cell("db out --quiet <<") == CellRequest("db", "out", Options(quiet=True))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--refesh", "unknown option --refesh (did you mean --refresh?)"),
        ("--refr", "--refr (did you mean --refresh?)"),
        ("-ttl 1h", "-ttl (did you mean --ttl?)"),
        ("--no_store", "did you mean --no-store?"),
        ("--xyzzy", "known: --ttl, --refresh"),
        (
            "--ttl",
            '--ttl needs a value: a time: "90s", "5m", "1h", "7d", "2w", "today", "session" or "forever"',
        ),
        ("--validate", "--validate needs a value: auto, true, false, SQL in quotes"),
        ("--validate --refresh", '--validate needs a value: auto, true, false, SQL in quotes ("select max('),
        ("--validate ''", "--validate takes auto, true, false, SQL in quotes"),
        ("--validate select max(a) from t", "--validate takes auto, true, false, SQL in quotes"),
        ("--offline=yes", "--offline is a switch"),
        ("--stale-if-error forever", '--stale-if-error takes a bounded time: "90s"'),
        ("--stale-while-revalidate", '--stale-while-revalidate needs a value: a bounded time: "90s"'),
        ("--stale-if-eror 1h", "did you mean --stale-if-error?"),
        ("--name --quiet", "--name needs a value"),
        ("--ttl 1h --ttl 2h", "--ttl is given twice"),
        ("--quiet=yes", "--quiet is a switch"),
        ('--params {"a": 1}', "--params takes the name of a variable"),
        ("db other", "the SQL stands below"),
        ("out << db", "<< stands last"),
        ("<<", "<< stands last"),
        ("2out <<", "<< stands last"),
        ("class <<", "<< stands last"),
        ("db class <<", "<< stands last"),
        ("db 2out <<", "<< stands last"),
        ("--name it's", "--name: a quote is not closed"),
        ("--name='it", "--name: a quote is not closed"),
        ("db out << SELECT 1", "<< stands last"),
    ],
)
def test_faults_of_the_first_line(line: str, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        parse_cell(line)
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_fault_shows_no_url() -> None:
    with pytest.raises(NotebookError) as fault:
        parse_cell("postgresql://ann:secret@db/sales postgresql://ann:secret@db/other")
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("", Help()),
        ("help", Help()),
        ("list", List()),
        ("  list  ", List()),
        ("stats", Stats()),
        ("info ab12", Info("ab12")),
        ("info 'my result'", Info("my result")),
        ("clear", Clear()),
        ("clear --all", Clear(all=True)),
        ("clear --key ab12", Clear(key="ab12")),
        ("clear --tag=t --older-than 7d", Clear(tag="t", older_than="7d")),
        ("clear --name n --source flights.db", Clear(name="n", source="flights.db")),
        ("clear --unused-for 30d --unpinned-only", Clear(unused_for="30d", unpinned_only=True)),
        ("clear --all --dry-run", Clear(all=True, dry_run=True)),
        ("pin ab12", Pin("ab12")),
        ("unpin 'my result'", Pin("my result", pinned=False)),
        ("connect db sqlite:///f.db", Connect("db", "sqlite:///f.db")),
        ("connect db engine", Connect("db", "engine")),
    ],
)
def test_verbs(line: str, verb: object) -> None:
    assert parse_line(line) == verb


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "EXPLAIN SELECT 1",
        "SHOW TABLES",
        "START TRANSACTION",  # near stats
        "LISTEN channel",
        "DISCONNECT all",
        '"list"',
        "flights",
        "SELECT 1 -- not --refresh",
        "SELECT 1 --the end",
        "SELECT '--ttl 1h', \"a  b\" /* --quiet */",
        "SELECT 'http://a' -- see http://b",
        "SELECT a//b, c::int",
        "-- a comment",
    ],
)
def test_the_rest_is_sql_to_the_letter(sql: str) -> None:
    assert parse_line(sql) == LineQuery(sql)


@pytest.mark.parametrize("options", ["--ttl 1h --quiet db", "--ttl 1h db --quiet", "db --ttl=1h --quiet"])
def test_options_and_the_connection_of_a_line_stand_before_its_sql(options: str) -> None:
    request = parse_line(f"{options}  SELECT a  -- all", lambda word: word == "db")
    assert request == LineQuery("SELECT a  -- all", Options(ttl="1h", quiet=True), "db")


@pytest.mark.parametrize("url", ["sqlite:///f.db", "$DATABASE_URL", '"sqlite:///my data/f.db"'])
def test_a_url_needs_nobody_to_know_it(url: str) -> None:
    assert parse_line(f"{url} --quiet list") == LineQuery("list", Options(quiet=True), url.strip('"'))


def test_a_connections_name_alone_is_a_tables() -> None:
    assert parse_line("db", lambda word: word == "db") == LineQuery("db")


def test_an_unknown_word_before_sql_is_meant_as_a_connection() -> None:
    assert parse_line("gg SELECT 1") == LineQuery("SELECT 1", con="gg")
    assert parse_line("EXPLAIN SELECT 1") == LineQuery("EXPLAIN SELECT 1")


URL = "postgresql://ann:SECRET@db/sales"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("clear a", "clear is written: %cachedsql clear ["),
        ("clear all", "clear is written"),
        ("Clear --all", "clear is written"),
        ("stats please", "stats is written: %cachedsql stats"),
        ("help info", "help is written: %cachedsql help"),
        ("LIST @stage", "list is written: %cachedsql list"),
        ("list -- a comment", "list is written"),
        ("info", "info is written: %cachedsql info KEY"),
        ("info a b", "info is written"),
        ("pin", "pin is written: %cachedsql pin KEY"),
        ("unpin a b", "unpin is written: %cachedsql unpin KEY"),
        ("connect x", "connect is written: %cachedsql connect ALIAS URL_OR_VARIABLE"),
        ("connect x postgresql://ann:SEC RET@db/sales", "connect is written"),
        (f"connect {URL} x", "connect is written"),
        (f"conect x {URL}", "did you mean the verb connect? It is written: %cachedsql connect ALIAS"),
        ("lst", "did you mean the verb list?"),
        ("--quiet lst", "did you mean the verb list?"),
        (f"x {URL}", "a database URL stands before the SQL"),
        ("x postgresql//ann:SECRET@db/sales", "a database URL stands before the SQL"),
        ("postgresql:/ann:SECRET@db/sales SELECT 1", "a database URL stands before the SQL"),
        (URL, "no SQL after the connection"),
        (f"{URL} --quiet", "no SQL after the connection"),
        (f"--{URL} SELECT 1", "unknown option (known: --ttl"),
    ],
)
def test_what_was_meant_as_something_else_is_neither_sql_nor_shown(line: str, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        parse_line(line)
    assert says in str(fault.value)
    assert "SEC" not in str(fault.value)


@pytest.mark.parametrize("option", ["--no-store", "--ttl 1h", "--ttl=1h", "--quiet -- x"])
def test_an_option_after_the_sql_would_be_a_comment(option: str) -> None:
    with pytest.raises(NotebookError, match="options stand before the SQL"):
        parse_line(f"SELECT * FROM airlines {option}")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--refesh SELECT 1", "did you mean --refresh?"),
        ("--ttl 1h", "no SQL after the options"),
        ("clear --al", "unknown option --al (did you mean --all?)"),
        ("clear --older 7d", "did you mean --older-than?"),
        ("clear --all --tag t", "not both"),
        ("clear --tag t rest", "clear takes options only"),
        ("list --all", "list takes no options"),
        ("check --repair all", "check takes options only"),
        ("check --all", "--all"),
        ("invalidate --all --table t", "not both"),
        ("invalidate --table t ab12", "a key only: invalidate ["),
        ("invalidate --key ab12", "unknown option --key"),
        ("invalidate ab12 cd34", "invalidate is written: %cachedsql invalidate ["),
        ("invalidate --older-than 7d", "unknown option"),
        ("clear --yes", "unknown option --yes (known: --all"),
        ("clear --help", "%cachedsql help"),
        ("--help", "%cachedsql help"),
        ("clear --unused-for long", "--unused-for takes a time"),
        ("clear --all --unpinned-only", "not both"),
        ("pin --all", "pin takes no options: pin KEY"),
        ("clear --older-than soon", "--older-than takes a time"),
        ("--ttl soon SELECT 1", "--ttl takes a time"),
        ("--ttl 1h db --ttl 2h SELECT 1", "--ttl is given twice"),
        ("--name 'my result SELECT 1", "--name: a quote is not closed"),
    ],
)
def test_faults_of_a_line(line: str, says: str) -> None:
    with pytest.raises(NotebookError) as fault:
        parse_line(line, lambda word: word == "db")
    assert says in str(fault.value)


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("check", Check()),
        ("check --repair", Check(repair=True)),
        ("invalidate", Invalidate()),
        ("invalidate --all", Invalidate(all=True)),
        ("invalidate ab12", Invalidate(key="ab12")),
        ("invalidate --table sales.orders", Invalidate(table="sales.orders")),
        (
            "invalidate --name mine --tag t --source flights.db",
            Invalidate(False, "mine", "t", None, "flights.db"),
        ),
    ],
)
def test_invalidate(line: str, verb: Invalidate) -> None:
    assert parse_line(line) == verb


def test_filters_of_clear_are_the_keywords_of_the_cache() -> None:
    assert Invalidate(table="t").filters == {"table": "t"}
    assert Invalidate(all=True).filters == {}
    assert Clear(tag="t", older_than="7d").filters == {"tag": "t", "older_than": "7d"}
    assert Clear(all=True, dry_run=True).filters == {}
    assert Clear(unpinned_only=True, unused_for="1d").filters == {"unpinned_only": True, "unused_for": "1d"}


def test_usage_hint() -> None:
    assert "info KEY" in usage_hint("info")
    assert usage_hint("SELECT 1") == usage_hint("") == ""


@given(st.text())
def test_any_line_is_read_or_refused(line: str) -> None:
    for parse in (parse_cell, parse_line):
        with suppress(NotebookError):
            parse(line)


@given(st.text(alphabet="-'\"=<>:; abSELECT*\\"))
def test_sql_on_a_line_is_never_changed(text: str) -> None:
    sql = f"SELECT {text}"
    assert parse_line(sql) == LineQuery(sql.strip())


# --- why --------------------------------------------------------------------------------------------------------


def test_why_stands_before_a_question() -> None:
    assert parse_cell("why") == CellRequest(why=True)
    assert parse_cell("why db --ttl 1h") == CellRequest("db", options=Options(ttl="1h"), why=True)
    assert parse_line("why SELECT 1") == LineQuery("SELECT 1", why=True)
    assert parse_line("why --ttl 1h db SELECT 1 -- why", lambda word: word == "db") == LineQuery(
        "SELECT 1 -- why", Options(ttl="1h"), "db", why=True
    )


def test_a_connection_of_that_name_stands_in_quotes() -> None:
    assert parse_cell('"why"') == CellRequest("why")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("why", "why is written: %cachedsql why"),
        ("why --ttl 1h", "no SQL after the options"),
        ("why --write SELECT 1", "why runs nothing"),
        ("why --unheard SELECT 1", "unknown option --unheard"),
    ],
)
def test_why_without_a_question(line: str, words: str) -> None:
    with pytest.raises(NotebookError, match=words):
        parse_line(line)
