"""The values of drivers come back; their modules are loaded where such a value is made, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from sqlcache_nb.codec import Payload, encode
from sqlcache_nb.codec.cells import dumps, loads
from sqlcache_nb.codec.drivers import TYPES
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.round_trip import objects, round_trip


def psycopg_ranges() -> list[Any]:
    make = pytest.importorskip("psycopg.types.range").Range
    return [
        *(make(1, 2), make(1, 2, "(]"), make(None, None), make(None, 5, "()"), make(empty=True)),
        make(Decimal("1.0"), Decimal("2.00"), "[]"),
        make(date(2024, 1, 1), None),
        make(datetime(2024, 1, 1, tzinfo=UTC), None),
    ]


def psycopg_multiranges() -> list[Any]:
    make = pytest.importorskip("psycopg.types.multirange").Multirange
    return [make(psycopg_ranges()[:2]), make([])]


def psycopg2_ranges() -> list[Any]:
    extras = pytest.importorskip("psycopg2.extras")
    kinds = [
        getattr(extras, name) for name in ("NumericRange", "DateRange", "DateTimeRange", "DateTimeTZRange")
    ]
    return [
        value for kind in kinds for value in (kind(1, 2), kind(empty=True), kind(None, Decimal("1.50"), "(]"))
    ]


def pg8000_values() -> list[Any]:
    types = pytest.importorskip("pg8000.types")
    return [
        *(types.Range(1, 2), types.Range(is_empty=True), types.Range(None, None, "()")),
        *(types.PGInterval(days=1), types.PGInterval(months=1, seconds=1.5), types.PGInterval()),
    ]


def sqlalchemy_ranges() -> list[Any]:
    from sqlalchemy.dialects.postgresql import Range
    from sqlalchemy.dialects.postgresql.ranges import MultiRange

    return [
        *(Range(1, 2), Range(None, Decimal("1.0"), bounds="(]"), Range(empty=True)),
        *(MultiRange([Range(1, 2)]), MultiRange([])),
    ]


VALUES = [psycopg_ranges, psycopg_multiranges, psycopg2_ranges, pg8000_values, sqlalchemy_ranges]


@pytest.mark.parametrize("make", VALUES)
def test_values_come_back(make: Callable[[], list[Any]]) -> None:
    values = make()
    assert round_trip(objects(*values, None)) == []
    assert round_trip(objects(*values, 1, "beside others", [values[0]], {"in": values[-1]})) == []


def test_every_type_of_the_list_has_a_value_in_these_tests() -> None:
    seen = set()
    for make in VALUES:
        try:
            seen |= {(type(value).__module__, type(value).__qualname__) for value in make()}
        except pytest.skip.Exception:  # a driver that is not installed here
            pytest.skip("not every driver is installed")
    assert seen == {(driver.module, driver.name) for driver in TYPES}


def test_a_driver_that_is_not_installed_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    payload = encode(objects(*psycopg_ranges()), "{}")
    monkeypatch.setitem(sys.modules, "psycopg.types.range", None)  # what Python notes of a failed import
    with pytest.raises(CodecError, match="psycopg"):
        Payload(payload).frame  # noqa: B018  # decoding is what raises


def test_a_class_that_only_bears_the_name_is_refused() -> None:
    pytest.importorskip("psycopg.types.range")
    look_alike = type("Range", (), {"lower": 1, "upper": 2, "bounds": "[)"})
    look_alike.__module__ = "psycopg.types.range"
    with pytest.raises(NotCacheable, match=r"psycopg\.types\.range\.Range"):
        dumps(look_alike())


def test_a_subclass_is_another_type() -> None:
    kind = pytest.importorskip("psycopg.types.range").Int4Range
    with pytest.raises(NotCacheable, match="Int4Range"):
        dumps(kind(1, 2))


def test_what_a_value_consists_of_must_be_known_too() -> None:
    make = pytest.importorskip("psycopg.types.range").Range
    with pytest.raises(NotCacheable, match="complex"):
        dumps(make(1j, None))


def test_no_driver_is_loaded_before_it_is_needed() -> None:
    code = """
import sys
from sqlcache_nb.codec import encode
found = {"psycopg", "psycopg2", "pg8000"} & set(sys.modules)
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_values_are_made_anew() -> None:
    from sqlalchemy.dialects.postgresql.ranges import MultiRange, Range

    text = dumps(MultiRange([Range(1, 2)]))
    assert loads(text) == loads(text)
    assert loads(text) is not loads(text)
