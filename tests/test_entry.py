"""Entries keep their facts as JSON, and what is no entry is said to be none."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import FORMAT, Entry, Provenance
from sqlcache_nb.lifetime import Until
from sqlcache_nb.parts import Item

texts = st.text(st.characters(), max_size=20)  # lone surrogates too: they come back from SQLite
facts = st.dictionaries(texts, texts, max_size=3)
numbers = st.floats(0, allow_infinity=False)
moments = st.datetimes(
    datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))])
)
provenances = st.builds(
    Provenance,
    key=texts,
    parts=facts,
    kind=st.sampled_from(["string", "text", "select"]),
    sql=texts,
    items=st.dictionaries(texts, st.builds(Item, texts, texts, texts), max_size=3),
    source=texts,
    dialect=texts,
    tables=st.lists(texts, max_size=3).map(tuple),
    fetched_at=moments,
    elapsed=numbers,
    rows=st.integers(0),
    columns=st.integers(0),
    chunks=st.none() | st.integers(1),
    versions=facts,
    opaque=st.booleans(),
)
entries = st.builds(
    Entry,
    provenance=provenances,
    checksum=texts,
    bytes=st.integers(0),
    ttl=st.none() | numbers | st.just(math.inf) | st.sampled_from(Until),
    tokens=st.dictionaries(texts, texts),
    validated_at=st.none() | moments,
    exact=st.booleans(),
    volatile=st.booleans(),
    places=st.lists(texts, max_size=2).map(tuple),
    invalidated_at=st.none() | moments,
    name=st.none() | texts,
    tags=st.lists(texts, max_size=3).map(tuple),
)
ENTRY = Entry(
    Provenance(
        key="ab" * 32,
        parts={"statement": "12"},
        kind="string",
        sql="select 1",
        items={"parameters.a": Item("12", "an int", "1")},
        source="flights.db",
        dialect="sqlite",
        tables=("flights",),
        fetched_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
        elapsed=1.5,
        rows=2,
        columns=3,
        chunks=None,
        versions={"pandas": "3.1.1"},
    ),
    checksum="ff",
    bytes=10,
    ttl=60.0,
    tags=("daily",),
)


@given(entries)
def test_an_entry_comes_back(entry: Entry) -> None:
    text = entry.to_json()
    again = Entry.from_json(text)
    assert again == entry
    assert again.to_json() == text
    assert again.provenance.fetched_at.tzinfo is UTC


@given(entries)
def test_the_json_is_plain(entry: Entry) -> None:
    """Strict JSON, in ASCII: any other reader understands it, and any store may hold it."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for text in (entry.to_json(), entry.provenance.to_json()):
        json.loads(text, parse_constant=refuse)
        assert text.isascii()


def test_the_json_says_what_it_is() -> None:
    plain = json.loads(ENTRY.to_json())
    assert plain["format"] == FORMAT
    assert plain["provenance"]["fetched_at"] == "2026-11-20T09:00:00+00:00"
    assert json.loads(ENTRY.provenance.to_json()) == plain["provenance"]
    assert json.loads(replace(ENTRY, ttl=math.inf).to_json())["ttl"] == "forever"


def test_an_entry_of_before_views_were_seen_through_can_be_read() -> None:
    plain = json.loads(ENTRY.to_json())
    del plain["provenance"]["opaque"]
    assert Entry.from_json(json.dumps(plain)) == ENTRY


def test_what_names_no_table_or_hides_some_may_read_any() -> None:
    plain = replace(ENTRY, provenance=replace(ENTRY.provenance, tables=("Orders",)))
    hidden = replace(plain, provenance=replace(plain.provenance, opaque=True))
    none = replace(plain, provenance=replace(plain.provenance, tables=()))
    assert [entry.may_read("sales.orders") for entry in (plain, hidden, none)] == [True, True, True]
    assert [entry.may_read("customers") for entry in (plain, hidden, none)] == [False, True, True]
    assert not hidden.reads("customers")


def test_an_entry_from_before_there_were_pins_has_none() -> None:
    assert Entry.from_json(without("pinned")) == ENTRY
    assert Entry.from_json(changed(pinned=True)) == replace(ENTRY, pinned=True)
    assert Entry.from_json(without("content")) == replace(ENTRY, content="")


def test_a_newer_answer_takes_name_and_tags_and_no_pin() -> None:
    before = replace(ENTRY, pinned=True, name="mine")
    after = ENTRY.replacing(before, datetime(2026, 11, 21, tzinfo=UTC))
    assert (after.pinned, after.name, after.tags) == (False, "mine", ("daily",))


def changed(**facts: Any) -> str:
    return json.dumps(json.loads(ENTRY.to_json()) | facts)


def without(name: str) -> str:
    plain = json.loads(ENTRY.to_json())
    del plain[name]
    return json.dumps(plain)


def with_provenance(**facts: Any) -> str:
    return changed(provenance=json.loads(ENTRY.provenance.to_json()) | facts)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "1", '"text"', "[]", "{}", "[" * 100_000),
        changed(format=FORMAT + 1),
        changed(format=None),
        changed(format=2.0),
        changed(format=True),
        changed(tags="abc"),
        changed(tags=[1]),
        changed(places={"a": 1}),
        changed(ttl=math.nan),
        changed(ttl=math.inf),
        without("checksum"),
        ENTRY.to_json().replace('"elapsed": ', '"elapsed": 1e999, "x": '),
        ENTRY.to_json().replace('"bytes": ', '"bytes": 5, "bytes": '),
        ENTRY.to_json() + " " * 2**26,
        with_provenance(parts={"a": 1}),
        with_provenance(versions={"a": None}),
        with_provenance(elapsed=-math.inf),
        changed(unheard_of=1),
        changed(provenance=None),
        changed(provenance={}),
        changed(provenance=[]),
        changed(tags=None),
        changed(pinned="yes"),
        changed(pinned=1),
        changed(content=None),
        without("format"),
        without("provenance"),
        without("ttl"),
        with_provenance(fetched_at="yesterday"),
        with_provenance(fetched_at=None),
        with_provenance(fetched_at="0001-01-01T00:00:00+14:00"),
        with_provenance(tables=None),
        with_provenance(unheard_of=1),
        with_provenance(items=None),
        with_provenance(items={"a": "abc"}),
        with_provenance(items={"a": ["1", "2"]}),
        with_provenance(items={"a": ["1", "2", 3]}),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_entry_of_this_version_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the JSON module words some of them
        Entry.from_json(text)


def test_values_that_are_not_kept_are_said_not_to_be() -> None:
    items = {
        "parameters.a": Item("12", "an int", "1"),
        "parameters.b.c": Item("34", "", ""),
        "source.x": Item("", "", ""),
    }
    assert replace(ENTRY.provenance, items=items).params == {"a": "1", "b.c": "(not kept)"}


def test_facts_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ENTRY.bytes = 0  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        ENTRY.provenance.rows = 0  # type: ignore[misc]


def test_the_key_is_the_provenances() -> None:
    assert ENTRY.key == ENTRY.provenance.key


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        (None, (), (None, ("daily",))),
        ("mine", (), ("mine", ("daily",))),
        (None, ("new",), (None, ("daily", "new"))),
        ("mine", ("daily", "new"), ("mine", ("daily", "new"))),
    ],
)
def test_labels_are_added(
    name: str | None, tags: tuple[str, ...], expected: tuple[str | None, tuple[str, ...]]
) -> None:
    labelled = ENTRY.labelled(name, tags)
    assert (labelled.name, labelled.tags) == expected
    assert replace(labelled, name=ENTRY.name, tags=ENTRY.tags) == ENTRY


def test_a_name_stays_until_there_is_another() -> None:
    assert ENTRY.labelled("mine", ()).labelled(None, ()).name == "mine"
    assert ENTRY.labelled("mine", ()).labelled("yours", ()).name == "yours"
