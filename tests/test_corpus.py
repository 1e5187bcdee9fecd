"""Real analytic queries that must be cached, and statements that must not: false alarms hurt as much."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Engine

from sqlcache_nb import QueryCache, Reason
from sqlcache_nb.guard import Facts, Kind, examine, kind_of
from tests.strict import differences

CORPUS = Path(__file__).parent / "corpus"
DIALECTS = [
    "postgresql",
    "duckdb",
    "sqlite",
    "mysql",
    "mssql",
    "oracle",
    "snowflake",
    "redshift",
    "trino",
    "",
]


class Text(NamedTuple):
    """One statement of the corpus: its name, its dialect, what is expected of it, and its SQL."""

    name: str
    dialect: str
    expected: str
    sql: str


def corpus(name: str) -> Iterator[Text]:
    """The statements of a file: each begins with a comment that names it."""
    text = (CORPUS / f"{name}.sql").read_text(encoding="utf-8")
    for match in re.finditer(
        r"^-- (\w+)(?: \| (\w+) \|(.*))?\n((?:(?!^-- \w+(?: \||\n)).*\n?)+)", text, re.MULTILINE
    ):
        yield Text(match[1], match[2] or "", (match[3] or "").strip(), match[4].strip())


TPCH, TPCDS = [list(corpus(name)) for name in ("tpch", "tpcds")]
CACHED, NOT_CACHED = [list(corpus(name)) for name in ("cached", "not_cached")]


def volatility(facts: Facts) -> str:
    return "volatile" if facts.volatile else "daily" if facts.daily else "plain"


def test_the_corpus_is_whole() -> None:
    assert [text.name for text in TPCH] == [f"q{number}" for number in range(1, 23)]
    assert len(TPCDS) >= 12
    assert len(TPCH) + len(TPCDS) + len(CACHED) >= 60
    assert len(NOT_CACHED) >= 60
    for texts in (TPCDS, CACHED, NOT_CACHED):
        assert max(Counter(text.name for text in texts).values()) == 1
        assert all(text.sql for text in texts)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", [*TPCH, *TPCDS], ids=lambda text: text.name)
def test_the_benchmarks_are_cached(text: Text, dialect: str) -> None:
    facts = examine(text.sql, dialect)
    assert (facts.kind, facts.refusal, facts.chance, volatility(facts)) == (Kind.QUERY, "", "", "plain")
    assert kind_of(text.sql, dialect) is Kind.QUERY


@pytest.mark.parametrize("text", CACHED, ids=lambda text: text.name)
def test_it_is_cached(text: Text) -> None:
    facts = examine(text.sql, text.dialect)
    assert (facts.kind, facts.refusal, facts.chance) == (Kind.QUERY, "", "")
    assert volatility(facts) == text.expected
    assert kind_of(text.sql, text.dialect) is Kind.QUERY


@pytest.mark.parametrize("text", NOT_CACHED, ids=lambda text: text.name)
def test_it_is_not_cached(text: Text) -> None:
    facts = examine(text.sql, text.dialect)
    assert facts.refusal or facts.chance
    assert text.expected in (facts.refusal or facts.chance)
    assert kind_of(text.sql, text.dialect) is facts.kind


@pytest.mark.parametrize("text", NOT_CACHED, ids=lambda text: text.name)
@pytest.mark.parametrize(
    "disguise",
    [str.lower, str.upper, "\n\t{}".format, "/* SELECT 1 */ {}".format, "-- SELECT 1\n{}\n;\n".format],
)
def test_nor_is_it_in_another_dress(text: Text, disguise: Callable[[str], str]) -> None:
    facts = examine(disguise(text.sql), text.dialect)
    assert facts.refusal or facts.chance


@pytest.fixture(scope="module")
def tpch_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path_factory.mktemp("tpch") / "tpch.db"
    with duckdb.connect(str(path)) as con:
        con.execute((CORPUS / "tpch_tables.sql").read_text(encoding="utf-8"))
    return path


@pytest.mark.parametrize("text", TPCH, ids=lambda text: text.name)
def test_tpch_is_cached_from_end_to_end(
    text: Text, cache: QueryCache, tpch_file: Path, engines: Callable[..., Engine]
) -> None:
    pytest.importorskip("duckdb_sqlalchemy")
    engine = engines(f"duckdb:///{tpch_file}")
    first = cache.read(text.sql, engine)
    again = cache.read(text.sql, engine)
    assert (first.reason, again.reason) == (Reason.FIRST_TIME, Reason.FILE_UNCHANGED)
    assert differences(first.frame, again.frame) == []
    assert len(first.frame) > 0
    assert first.entry is not None
    assert first.entry.exact
