"""Two values share their canonical bytes if, and only if, a driver would take them for the same."""

from __future__ import annotations

import enum
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.constant import ConstantDict, ConstantList
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.key import Key, encode


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    left: int
    right: int


class Text(str):
    __slots__ = ()


BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
OFFSET = timezone(timedelta(hours=1))

# No two of them are the same question.
DISTINCT: list[Any] = [
    *(None, "", "None", b"", [], (), {}, set(), frozenset()),
    *(1, True, 1.0, "1", b"1", Decimal(1), Decimal("1.0"), Decimal("1.00"), Fraction(1), 1 + 0j),
    *(np.int64(1), np.int32(1), np.uint64(1), np.float64(1), np.float32(1), np.bool_(True), np.str_("1")),
    *(np.bytes_(b"1"), np.array(1), np.array([1]), np.array([[1]]), np.array([1], "int32")),
    *(0, False, 0.0, -0.0, Decimal(0), Decimal("-0"), "0", math.nan, math.inf, -math.inf),
    *(Decimal("NaN"), Decimal("Infinity"), Decimal("1E+2"), Decimal(100), np.float64("nan"), pd.NA, pd.NaT),
    *("a", "A", " a", "a ", b"a", bytearray(b"a"), memoryview(b"a"), "ä", "a\u0308", "\ud800", "\udc80"),
    *(Colour.RED, Colour.GREEN, Number.ONE, Word.A, Right.READ, Right.READ | Right.WRITE),
    *(UUID(int=1), str(UUID(int=1)), IPv4Address("10.0.0.1"), IPv4Interface("10.0.0.1"), IPv6Address("::1")),
    *(IPv4Network("10.0.0.1"), "10.0.0.1", range(3), range(0, 3, 2), [0, 1, 2]),
    date(2024, 1, 2),
    datetime(2024, 1, 2),
    pd.Timestamp(2024, 1, 2).as_unit("us"),
    pd.Timestamp(2024, 1, 2).as_unit("ns"),
    np.datetime64("2024-01-02"),
    np.datetime64("2024-01-02", "ns"),
    "2024-01-02",
    datetime(2024, 1, 2, tzinfo=UTC),
    datetime(2024, 1, 2, tzinfo=UTC_ZONE),
    datetime(2024, 1, 2, tzinfo=OFFSET),
    datetime(2024, 1, 2, tzinfo=BERLIN),
    datetime(2024, 1, 2, 1, tzinfo=OFFSET),
    datetime(2024, 1, 2, fold=1),
    datetime(2024, 1, 2, microsecond=1),
    pd.Timestamp(2024, 1, 2, tz=UTC),
    pd.Timestamp(2024, 1, 2) + pd.Timedelta(1, "ns"),
    *(time(1), time(1, tzinfo=UTC), time(1, fold=1), timedelta(1), timedelta(hours=25), timedelta(0)),
    *(pd.Timedelta(1, "D").as_unit("us"), pd.Timedelta(1, "D").as_unit("ns"), np.timedelta64(1, "D")),
    *([1], [1, 1], [[1]], (1,), {1}, frozenset({1}), {1: 1}, {"1": 1}, {1: "1"}, [None], [[]], [[], []]),
    *(["a", "b"], ["ab"], ["a", "b", ""], [["a"], "b"], ["a", ["b"]], ["b", "a"], {"a": "b"}, [("a", "b")]),
    *({"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": {"b": 1}}, {"a": [("b", 1)]}, {1, 2}, {True, 2.0}),
    *(int, float, str, bool, bytes, datetime, date, Decimal, object, np.int64, np.float64, "int64"),
    *(np.dtype("int64"), np.dtype("int32"), np.dtype(">i8"), np.dtype(object), np.dtype("datetime64[s]")),
    np.dtype("datetime64[ns]"),
    *(pd.Int64Dtype(), pd.Int32Dtype(), pd.Float64Dtype(), pd.BooleanDtype(), pd.Int64Dtype),
    *(pd.StringDtype("python"), pd.StringDtype("pyarrow"), pd.ArrowDtype(pa.string())),
    *(pd.ArrowDtype(pa.large_string()), pd.ArrowDtype(pa.int64()), pd.ArrowDtype(pa.timestamp("us"))),
    pd.DatetimeTZDtype("ns", UTC),
    pd.DatetimeTZDtype("us", UTC),
    pd.DatetimeTZDtype("ns", BERLIN),
]


def named(value: object) -> str:
    return f"{type(value).__name__} {value!r}"[:50].encode("ascii", "backslashreplace").decode()


def test_no_two_values_share_their_bytes() -> None:
    pairs = combinations(DISTINCT, 2)
    shared = [(named(left), named(right)) for left, right in pairs if encode(left) == encode(right)]
    assert shared == []


ALIKE: list[tuple[Any, Any]] = [
    ({3, 1, 2}, {2, 3, 1}),
    (frozenset("abc"), frozenset("cba")),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    ({"a": {"x": {1, 2}, "y": 2}}, {"a": {"y": 2, "x": {2, 1}}}),
    (10**20, int("1" + "0" * 20)),
    (Decimal("1.50"), Decimal((0, (1, 5, 0), -2))),
    (np.arange(3), np.array([0, 1, 2])),
    (np.arange(6)[::2], np.array([0, 2, 4])),
    (np.arange(4).reshape(2, 2).T, np.array([[0, 2], [1, 3]])),
    (datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")), datetime(2024, 1, 1, tzinfo=ZoneInfo.no_cache("UTC"))),
    (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=timezone(timedelta(0)))),
    (memoryview(b"abcd")[::2], memoryview(b"ac")),
]


@pytest.mark.parametrize(("left", "right"), ALIKE, ids=lambda value: type(value).__name__)
def test_what_is_made_otherwise_and_means_the_same_has_the_same_bytes(left: Any, right: Any) -> None:
    assert encode(left) == encode(right)


scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.decimals()
    | st.fractions()
    | st.uuids()
    | st.dates()
    | st.times(timezones=st.none() | st.just(UTC))
    | st.datetimes(timezones=st.none() | st.sampled_from([UTC, OFFSET, BERLIN]))
    | st.timedeltas()
    | st.integers(-(2**31), 2**31 - 1).map(np.int32)
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
)
hashable = st.booleans() | st.integers(-2, 2) | st.text(max_size=2) | st.binary(max_size=2)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.frozensets(hashable, max_size=3)
    ),
    max_leaves=6,
)


def typed(value: Any) -> Any:
    """A value as text with all its types: another road to "the same"."""
    kind = type(value).__qualname__
    if isinstance(value, dict):
        return f"{kind}{sorted((typed(key), typed(item)) for key, item in value.items())}"
    if isinstance(value, set | frozenset):
        return f"{kind}{sorted(map(typed, value))}"
    if isinstance(value, list | tuple):
        return f"{kind}{list(map(typed, value))}"
    return f"{kind} {value!r} {getattr(value, 'fold', '')}"


@given(values, values)
def test_bytes_are_the_same_exactly_for_the_same_typed_value(left: Any, right: Any) -> None:
    # A NaN says nothing of its bits when it is shown, so it may have more than one encoding.
    if "nan" not in typed(left).lower():
        assert (encode(left) == encode(right)) == (typed(left) == typed(right))


@given(values)
def test_bytes_do_not_run_into_each_other(value: Any) -> None:
    assert encode([value]) != encode([value, value])
    assert encode([[value], value]) != encode([value, [value]])
    assert encode({"a": value}) != encode([("a", value)])


@given(st.lists(st.text(max_size=2) | st.binary(max_size=2)), st.randoms())
def test_a_sets_order_is_no_part_of_it(items: list[Any], random: Any) -> None:
    shuffled = random.sample(items, len(items))
    assert encode(set(items)) == encode(set(shuffled))


def test_constants_have_the_bytes_of_what_they_are() -> None:
    for value in ({"a": [1, None], "b": {"c": True}}, {}):
        assert [encode(ConstantDict(value))] * 2 == [encode(value), encode(dict(value))]
        constant = ConstantDict(value)
        assert encode([constant]) == encode([constant]) == encode([value])
    assert encode(ConstantList([1, "a", [2.0]])) == encode([1, "a", [2.0]])
    with pytest.raises(NotCacheable):
        encode(ConstantList([object()]))


# --- what has no canonical form ------------------------------------------------------------------------


def pytz_moment() -> Any:
    return pytest.importorskip("pytz").timezone("Europe/Berlin").localize(datetime(2024, 1, 1))


REFUSED: dict[str, Callable[[], Any]] = {
    "object": object,
    "function": lambda: len,
    "lambda": lambda: lambda: 1,
    "generator": lambda: (n for n in (1,)),
    "module": lambda: sys,
    "class of one's own": lambda: Pair,
    "instance of one's own": lambda: Pair(1, 2),
    "subclass of str": lambda: Text("a"),
    "enum class": lambda: Colour,
    "array of objects": lambda: np.array(["a", None], dtype=object),
    "structured array with objects": lambda: np.array([(1, None)], [("a", "i4"), ("b", object)]),
    # Their dtype's text and their bytes do not tell {a: int32} from {a: float32}.
    "structured dtype": lambda: np.dtype([("a", "i4")]),
    "structured array": lambda: np.array([(1,)], [("a", "i4")]),
    "structured scalar": lambda: np.array([(1,)], [("a", "i4")])[0],
    "masked array": lambda: np.ma.array([1, 2], mask=[False, True]),
    "numpy random generator": lambda: np.random.default_rng(0),
    "series": lambda: pd.Series([1]),
    "frame": lambda: pd.DataFrame({"a": [1]}),
    "index": lambda: pd.Index([1]),
    "interval": lambda: pd.Interval(0, 1),
    "period": lambda: pd.Period("2024"),
    "category": lambda: pd.CategoricalDtype(["a"]),
    "zone of pytz": pytz_moment,
    "zone of dateutil": lambda: datetime(2024, 1, 1, tzinfo=pytest.importorskip("dateutil.tz").tzlocal()),
    "enum of such": lambda: enum.Enum("Odd", {"A": object()}).A,  # type: ignore[attr-defined]
    "int of more digits than Python writes": lambda: 10**5000,
}
WRAPPED: dict[str, Callable[[Any], Any]] = {
    "alone": lambda value: value,
    "in a list": lambda value: [1, value],
    "in a dict": lambda value: {"a": {"b": value}},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_has_no_canonical_form_is_refused(make: Callable[[], Any], wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(NotCacheable):
        encode(wrap(make()))


def test_a_refusal_names_the_type_and_shows_no_value() -> None:
    with pytest.raises(NotCacheable, match="Text") as caught:
        encode({"password": Text("hunter2")})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        ("object", "a value of type builtins.object has no canonical form"),
        ("class of one's own", "class Pair has no canonical form"),
        ("zone of dateutil", "a time zone of type tzlocal has no canonical form"),
        ("structured dtype", "a value of type VoidDType has no canonical form"),
        ("category", "a value of type CategoricalDtype has no canonical form"),
        ("int of more digits than Python writes", "a value of type int has no canonical form"),
    ],
)
def test_a_refusal_says_what_it_is(make: str, sentence: str) -> None:
    with pytest.raises(NotCacheable, match=re.escape(sentence)):
        encode(REFUSED[make]())


def test_an_enum_is_its_value_too() -> None:
    """A cell that is run again may give a member another value under the same name."""
    before, after = (enum.Enum("Level", {"LOW": value}, module="m") for value in (1, 2))
    assert encode(before.LOW) != encode(after.LOW)  # type: ignore[attr-defined]


# --- keys ------------------------------------------------------------------------------------------------

PARTS: dict[str, object] = {"statement": ["text", "select :a"], "parameters": {"a": 1}, "source": {"x": None}}


def test_a_key_is_a_sha256_in_hex() -> None:
    digest = Key.of(PARTS).digest
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")


def test_the_order_of_parts_does_not_matter() -> None:
    assert Key.of(PARTS) == Key.of(dict(reversed(PARTS.items())))


@pytest.mark.parametrize("name", PARTS)
def test_each_part_tells_keys_apart_and_says_so(name: str) -> None:
    one, other = Key.of(PARTS), Key.of(PARTS | {name: "another"})
    assert one.digest != other.digest
    assert {part for part in PARTS if one.parts[part] != other.parts[part]} == {name}


def test_what_belongs_to_which_part_matters() -> None:
    assert Key.of({"a": 1, "b": 2}).digest != Key.of({"a": 2, "b": 1}).digest
    assert Key.of({"a": 1}).digest != Key.of({"b": 1}).digest
    assert Key.of({"a": 1}).digest != Key.of({"a": 1, "b": None}).digest


def test_a_refusal_names_the_part() -> None:
    with pytest.raises(NotCacheable, match=r"^options: .*builtins\.object"):
        Key.of({"statement": "select 1", "options": [object()]})


SCRIPT = """
import datetime, decimal, uuid, zoneinfo
import numpy, pandas
from sqlcache_nb.key import Key

print(Key.of({
    "words": {"alpha", "beta", "gamma", "delta"},
    "frozen": frozenset(["alpha", "beta", b"gamma", ("delta",)]),
    "nested": {"z": {"one", "two"}, "a": [1, True, 1.0, decimal.Decimal("1.0")]},
    "times": [
        datetime.datetime(2024, 1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        pandas.Timestamp(2024, 1, 2).as_unit("us"),
    ],
    "numbers": [numpy.int64(1), numpy.arange(3.0), uuid.UUID(int=7), float("inf")],
    "types": {"a": int, "b": numpy.dtype("f4"), "c": pandas.Int64Dtype()},
}).digest)
"""


def digest_in_another_process(seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_key_is_the_same_in_another_process_with_another_hash_seed() -> None:
    digests = {digest_in_another_process(seed) for seed in ("0", "1", "4711")}
    assert len(digests) == 1
    assert len(digests.pop()) == 64


@pytest.mark.parametrize(
    ("parts", "digest"),
    [
        ({}, "7ac03480ec19544671a6a0f8c7b90ee6db327cac73ea611ccebf9c71f6668cd0"),
        (PARTS, "d88ebb49351dddd712a68096473ceec9ff65c754add4a478967f42c24c85deab"),
    ],
)
def test_keys_of_this_format_stay_what_they_are(parts: dict[str, object], digest: str) -> None:
    """Who changes these on purpose changes FORMAT, too."""
    assert Key.of(parts).digest == digest
