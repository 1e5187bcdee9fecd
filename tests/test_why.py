"""What a question asks otherwise than the nearest stored one, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import Entry
from sqlcache_nb.freshness import Reason
from sqlcache_nb.key import Key
from sqlcache_nb.parts import Asked, items_of
from sqlcache_nb.why import Explanation, differences, likely, moved, nearest
from tests.store_contract import entry_of

SOURCE: dict[str, object] = {
    "dialect": "postgresql",
    "driver": "psycopg",
    "user": "ann",
    "host": "db",
    "options": {"role": "analyst"},
}


def asked(
    sql: str = "select :start",
    params: Any = None,
    kind: str = "text",
    source: dict[str, object] | None = None,
    store_params: bool = True,
    **others: object,
) -> Asked:
    parts: dict[str, object] = {
        "statement": [kind, sql],
        "parameters": [params, ()],
        "result types": [],
        "options": {"coerce_float": True},
        "environment": {"pandas": "2.3"},
        "source": SOURCE if source is None else source,
        **others,
    }
    return Asked(kind, sql, Key.of(parts).parts, items_of(parts, store_params=store_params))


def stored(question: Asked, minute: int = 0) -> Entry:
    """An entry that answers a question."""
    entry = entry_of("a" * 64, minute=minute)
    facts = replace(
        entry.provenance, kind=question.kind, sql=question.sql, parts=question.parts, items=question.items
    )
    return replace(entry, provenance=facts)


def told(now: Asked, was: Asked) -> str:
    near = nearest(now, [stored(was)])
    assert near is not None
    return str(near)


STAFF = SOURCE | {"options": {"role": "admin"}}


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        (
            asked(params={"start": date(2024, 1, 1)}),
            asked(params={"start": date(2024, 2, 1)}),
            "same SQL, :start was 2024-01-01, is 2024-02-01",
        ),
        (
            asked(params={"start": date(2024, 1, 1)}),
            asked(params={"start": "2024-01-01"}),
            "same SQL, :start was a date, is a string",
        ),
        (asked(), asked(source=STAFF), "same SQL, role was analyst, is admin"),
        (
            asked(),
            asked(environment={"pandas": "3.1"}),
            "same SQL, pandas was 2.3, is 3.1",
        ),
        (asked(params={"n": 1}), asked(params={"n": 1.0}), "same SQL, :n was an int, is a float"),
        (asked(params={"n": None}), asked(params={"n": 1}), "same SQL, :n was None, is 1"),
        (asked(params=[1, 2]), asked(params=[1, 3]), "same SQL, parameter 2 was 2, is 3"),
        (asked(params=[1]), asked(params=[1, 3]), "same SQL, parameter 2 was not given, is 3"),
        (asked(params=[1, 2]), asked(params=(1, 2)), "same SQL, the parameters differ in form or order"),
        (
            asked(params={"password": "a"}),
            asked(params={"password": "b"}),
            "same SQL, :password differs",
        ),
        (
            asked(params={"x": "a" * 300}),
            asked(params={"x": "a" * 300 + "b"}),
            "same SQL, :x differs",
        ),
        (
            asked(params={"start": 1}, store_params=False),
            asked(params={"start": 2}),
            "same SQL, :start differs",
        ),
        (
            asked(params=dict.fromkeys("abcde", 1)),
            asked(params=dict.fromkeys("abcde", 2)),
            "same SQL, :a was 1, is 2; :b was 1, is 2; :c was 1, is 2; and 2 more",
        ),
        (
            asked(),
            asked(options={"coerce_float": True, "index_col": "id"}),
            "same SQL, index_col was not given, is id",
        ),
        (
            asked(kind="string"),
            asked(),
            "the SQL was asked as a string, is asked as text()",
        ),
        (asked("select  1"), asked("select 1"), "the SQL differs in white space alone"),
        (asked("SELECT 1"), asked("select  1"), "the SQL differs in case or white space alone"),
        (
            asked("select * from a where n = 1"),
            asked("select * from a where n = 12"),
            "the SQL says 12 where it said 1",
        ),
        (asked("select * from a"), asked("select * from a limit 3"), "the SQL says limit 3, too"),
        (asked("select * from a limit 3"), asked("select * from a"), "the SQL no longer says limit 3"),
    ],
)
def test_the_sentences(was: Asked, now: Asked, words: str) -> None:
    assert told(now, was) == words


def test_a_text_that_a_driver_gets_in_other_words_is_said_where_nothing_else_explains_it() -> None:
    one = asked("select ?")
    other = replace(one, parts={**one.parts, "statement": "0" * 16})
    assert told(other, one) == "the SQL reaches the driver in other words"
    mysql = asked("select ?", source=SOURCE | {"driver": "pymysql"}, statement=["text", "select %s"])
    assert told(mysql, one) == "same SQL, driver was psycopg, is pymysql"


PARAMS = st.none() | st.dictionaries(
    st.sampled_from(["a", "b", "password", "x.y"]),
    st.none() | st.integers(0, 2) | st.booleans() | st.floats(0, 2) | st.text("ab", max_size=2) | st.dates(),
    max_size=3,
)
QUESTIONS = st.builds(
    asked,
    sql=st.sampled_from(["select 1", "SELECT 1", "select  1", "select 2"]),
    params=PARAMS,
    kind=st.sampled_from(["string", "text"]),
    store_params=st.booleans(),
    environment=st.fixed_dictionaries({"pandas": st.sampled_from(["2.3", "3.1"])}),
    options=st.fixed_dictionaries({"index_col": st.none() | st.just("id") | st.just(["id"])}),
)


@given(QUESTIONS, QUESTIONS)
def test_questions_differ_in_words_where_they_differ(now: Asked, was: Asked) -> None:
    found = differences(now, stored(was))
    assert bool(found) == (now.parts != was.parts)
    assert all(str(each) and "hunter" not in str(each) for each in found)
    assert {each.part for each in found} <= {name for name in now.parts if now.parts[name] != was.parts[name]}
    assert len({str(each) for each in found}) == len(found)


@given(QUESTIONS, st.lists(QUESTIONS, min_size=1, max_size=5))
def test_the_nearest_has_the_same_sql_if_any_has_and_then_the_fewest_differences(
    now: Asked, others: list[Asked]
) -> None:
    near = nearest(now, [stored(other, minute) for minute, other in enumerate(others)])
    assert near is not None
    counts = [
        ("statement" in {each.part for each in found}, len(found))
        for found in (differences(now, stored(other)) for other in others)
    ]
    is_reworded = any(each.part == "statement" for each in near.differences)
    assert (is_reworded, len(near.differences)) == min(counts)
    of_these = [minute for minute, count in enumerate(counts) if count == min(counts)]
    assert near.entry.provenance.fetched_at == entry_of("b").provenance.fetched_at + timedelta(
        minutes=of_these[-1]
    )


def test_nothing_is_near_where_nothing_is_stored() -> None:
    assert nearest(asked(), []) is None


def test_another_database_is_told_from_another_user() -> None:
    near = nearest(asked(source=STAFF), [stored(asked())])
    assert near is not None
    assert near.same_database
    near = nearest(asked(source=SOURCE | {"host": "staging"}), [stored(asked())])
    assert near is not None
    assert not near.same_database
    assert str(near) == "same SQL, host was db, is staging"


def test_the_likeliest_statement_is_found_and_none_where_none_is_like_it() -> None:
    entries = [
        stored(asked(sql))
        for sql in (
            "select a, b from t where n = 1",
            "select c from u",
            "select a, b from t where n = 1 and m > 7",
        )
    ]
    assert likely(asked("select a, b from t where n = 2"), entries) == entries[:1]
    assert likely(asked("insert x"), entries) == []


def test_a_difference_keeps_what_was_and_what_is() -> None:
    (difference,) = differences(asked(params={"n": 2}), stored(asked(params={"n": 1})))
    assert (difference.part, difference.name, difference.was, difference.now) == ("parameters", "n", "1", "2")
    assert str(moved("/a", "/b")) == "the working directory was /a, is /b"


def test_an_explanation_reads_as_its_sentence() -> None:
    explanation = Explanation("miss", Reason.FIRST_TIME, "miss: first time")
    assert str(explanation) == "miss: first time"
    assert repr(explanation) == "<Explanation miss: first time>"
