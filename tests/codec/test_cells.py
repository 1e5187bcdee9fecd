"""One cell as JSON, and back: every type of the list, and no other."""

from __future__ import annotations

import collections
import enum
import json
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from dateutil.relativedelta import MO
from hypothesis import given, settings
from sqlalchemy.sql.elements import quoted_name

from sqlcache_nb.codec.cells import dumps, from_plain, loads, name_of, to_plain
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import ANYTHING, of_objects
from tests.codec.round_trip import objects
from tests.strict import differences


def is_same(left: Any, right: Any) -> bool:
    return differences(objects(left), objects(right)) == []


@settings(max_examples=400, deadline=None)
@given(cell=ANYTHING)
def test_every_cell_comes_back(cell: Any) -> None:
    assert is_same(cell, loads(dumps(cell)))


BERLIN = ZoneInfo("Europe/Berlin")

PLAIN: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (2**64, "18446744073709551616"),
    (-0.0, "-0.0"),
    ("ü\0", '"ü\\u0000"'),
    ([1, None, [1.5, "a"]], '[1, null, [1.5, "a"]]'),
    ({"a": {"b": []}}, '{"a": {"b": []}}'),
    ({}, "{}"),
]


@pytest.mark.parametrize(("cell", "text"), PLAIN, ids=[text for _, text in PLAIN])
def test_what_json_has_is_itself(cell: Any, text: str) -> None:
    assert dumps(cell) == text
    assert is_same(cell, loads(text))


TAGGED: dict[str, Any] = {
    "str": "\ud800",
    "float": float("-inf"),
    "bytes": b"\0\xff",
    "bytearray": bytearray(b"a"),
    "memoryview": memoryview(b"a").cast("c"),
    "tuple": (1, ("a", None)),
    "set": {1, "a", None},
    "frozenset": frozenset({(1, 2)}),
    "dict": {1: "a", None: {}, "$x": 2},
    "Decimal": Decimal("-sNaN12"),
    "IPv4Address": ip_address("10.0.0.1"),
    "IPv4Interface": ip_interface("10.0.0.1/8"),
    "IPv4Network": ip_network("10.0.0.0/8"),
    "IPv6Address": ip_address("fe80::1%eth0"),
    "IPv6Interface": ip_interface("::1/64"),
    "IPv6Network": ip_network("2001:db8::/32"),
    "UUID": uuid.UUID(int=7),
    "date": date(1, 1, 1),
    "time": time(23, 59, 59, 999_999, tzinfo=timezone(timedelta(seconds=-61)), fold=1),
    "datetime": datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    "timedelta": timedelta.min,
    "ndarray": np.array([[1.5, np.nan]]),
    "Timestamp": pd.Timestamp(2**62, tz=BERLIN),
    "Timedelta": pd.Timedelta(5, "s").as_unit("ms"),
    "DateOffset": pd.DateOffset(n=2, normalize=True, months=3, nanoseconds=-1),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "quoted_name": quoted_name("a\ud800", quote=True),
    "numpy": np.float32(1.1),
}


@pytest.mark.parametrize(("tag", "cell"), TAGGED.items(), ids=TAGGED)
def test_everything_else_is_tagged(tag: str, cell: Any) -> None:
    plain = json.loads(dumps(cell))
    assert list(plain) == [f"${tag}"]
    assert is_same(cell, loads(dumps(cell)))
    assert is_same([{"in": cell}], loads(dumps([{"in": cell}])))


@pytest.mark.parametrize(
    "cell",
    [
        {"$Decimal": "1"},
        {"$": 1},
        {"a": 1, "$b": 2},
        {"\ud800": 1},
        {"a": {"$os.system": "x"}},
        [{"$NA": None}],
    ],
    ids=repr,
)
def test_a_dict_that_looks_like_a_tag_is_a_dict(cell: Any) -> None:
    assert is_same(cell, loads(dumps(cell)))


SCALARS: list[Any] = [
    *(
        np.bool_(True),
        np.int8(-1),
        np.uint64(2**64 - 1),
        np.float16(1.5),
        np.float32("nan"),
        np.float64(-0.0),
    ),
    *(
        np.complex128(1 + 2j),
        np.datetime64("NaT", "D"),
        np.array([25], "M8[25s]")[0],
        np.timedelta64(3, "ns"),
    ),
    *(np.str_("\ud800"), np.bytes_(b"\0a")),
]


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_scalars_of_numpy_stay_what_they_are(scalar: np.generic) -> None:
    again = loads(dumps(scalar))
    assert (type(again), again.dtype, again.tobytes()) == (type(scalar), scalar.dtype, scalar.tobytes())


ARRAYS: list[Any] = [
    *(np.array(5), np.zeros((2, 0)), np.array(["a", "bc"]), np.array([b"a"]), np.array([True])),
    *(np.array([1, 2], "M8[D]"), np.array([1], "m8[ns]"), np.array([1j]), np.array([1.5], "f2")),
    *(np.arange(10)[::3], np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(None, object)),
    of_objects([[1], None, {"a": (1,)}, np.array([1])]),
]


@pytest.mark.parametrize("array", ARRAYS, ids=repr)
def test_arrays_of_numpy_stay_what_they_are(array: Any) -> None:
    again = loads(dumps(array))
    assert (again.dtype, again.shape, again.flags.writeable) == (array.dtype, array.shape, True)
    assert is_same(array, again)


def test_read_only_arrays_are_read_back_writable() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    loads(dumps(array))[0] = 7


MOMENTS: list[Any] = [
    datetime(2020, 3, 29, 2, 30, tzinfo=BERLIN),  # there is none
    datetime(2020, 3, 29, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2020, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),  # there are two
    datetime(2020, 1, 1, fold=1, tzinfo=UTC),
    datetime(2020, 1, 1, fold=1),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),  # in UTC before the year 1
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
    datetime(1800, 1, 1, tzinfo=BERLIN),  # offset in seconds
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(microseconds=1))),
    *(pd.Timestamp(2020, 1, 1).as_unit(unit) for unit in ("s", "ms", "us", "ns")),
    *pd.DatetimeIndex(["2020-10-25T02:30"] * 2).tz_localize(
        "Europe/Berlin", ambiguous=np.array([True, False])
    ),
    pd.Timestamp.min,
    pd.Timestamp.max.tz_localize("UTC"),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=repr)
def test_moments_stay_what_they_are(moment: Any) -> None:
    assert is_same(moment, loads(dumps(moment)))


def test_variants_of_pytz_zones_come_back() -> None:
    pytz = pytest.importorskip("pytz")
    berlin = pytz.timezone("Europe/Berlin")
    for moment in (
        berlin.localize(datetime(2024, 7, 1)),
        berlin.localize(datetime(2020, 10, 25, 2, 30), is_dst=True),
        berlin.localize(datetime(1850, 1, 1)),
        datetime(2024, 7, 1, tzinfo=berlin),  # the offset of 1850, as people write it
        datetime(2024, 7, 1, tzinfo=pytz.FixedOffset(90)),
    ):
        assert is_same(moment, loads(dumps(moment)))


# --- or not at all --------------------------------------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Real(np.float64):
    pass


class Name(quoted_name):
    pass


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024  # as psycopg gives composites


def offset_of(days: Any) -> Any:
    return pd.DateOffset(days=days)


def released() -> memoryview:
    view = memoryview(b"a")
    view.release()
    return view


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "IntEnum": (lambda: Colour.RED, "Colour"),
    "StrEnum": (lambda: Word.YES, "Word"),
    "a subclass of str": (lambda: Text("a"), "Text"),
    "a subclass of NumPy's float": (lambda: Real(1.5), "Real"),
    "a namedtuple": (lambda: Pair(1, 2), "Pair"),
    "OrderedDict": (lambda: collections.OrderedDict(a=1), r"collections\.OrderedDict"),
    "defaultdict": (lambda: collections.defaultdict(list), "defaultdict"),
    "complex": (lambda: 1j, "complex"),
    "a class": (lambda: int, "type"),
    "a masked array": (lambda: np.ma.array([1]), "MaskedArray"),
    "records": (lambda: np.zeros(1, "i4,f8"), "NumPy's dtype"),
    "an array of another byte order": (lambda: np.array([1], ">i4"), ">i4"),
    "long double": (lambda: np.longdouble(1) / 3, "NumPy's dtype"),
    "text of NumPy's that ends with NUL": (lambda: np.str_("a\0"), "NUL"),
    "bytes of NumPy's that end with NUL": (lambda: np.bytes_(b"\0"), "NUL|dtype"),
    "a memoryview that can be written to": (lambda: memoryview(bytearray(b"a")), "memoryview"),
    "a memoryview of two dimensions": (lambda: memoryview(b"abcd").cast("B", (2, 2)), "memoryview"),
    "a memoryview of numbers": (lambda: memoryview(b"abcd").cast("I"), "memoryview of format 'I'"),
    "a memoryview that was released": (released, "memoryview"),
    "a UUID that knows how it was made": (
        lambda: uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe),
        r"uuid\.UUID",
    ),
    "a DateOffset of weekdays": (lambda: pd.DateOffset(weekday=MO(1)), "DateOffset"),
    "a DateOffset of NumPy's numbers": (lambda: offset_of(np.int64(1)), "DateOffset"),
    "a foreign zone": (lambda: datetime(2024, 1, 1, tzinfo=ZoneInfo.no_cache("Asia/Tokyo")), "time zone"),
    "a subclass of quoted_name": (lambda: Name("a", quote=True), "Name"),
    "an int of more digits than Python reads": (lambda: 10**5_000, "int"),
    "deep": (lambda: nested(5_000), "list"),
    "deeper than a reader may stand": (lambda: nested(900), "list"),
}


def nested(depth: int) -> Any:
    cell: Any = []
    for _ in range(depth):
        cell = [cell]
    return cell


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_other_cells_are_refused_by_their_type(make: Callable[[], Any], words: str) -> None:
    for cell in (make(), [1, make()], {"a": (make(),)}):
        with pytest.raises(NotCacheable):
            dumps(cell)
    with pytest.raises(NotCacheable, match=words):
        dumps(make())


def within_itself() -> list[Any]:
    first: list[Any] = []
    first.append(first)
    second: dict[str, Any] = {}
    second["a"] = [second]
    third: list[Any] = []
    third += [(third,), third]
    fourth = np.empty(1, object)
    fourth[0] = fourth
    return [first, second, third, fourth]


@pytest.mark.parametrize("cell", within_itself(), ids=["list", "dict", "tuple", "array"])
def test_what_holds_itself_is_refused(cell: Any) -> None:
    with pytest.raises(NotCacheable, match="too large or too deep"):
        dumps(cell)


# --- reading ----------------------------------------------------------------------------------------------


def test_what_was_written_is_read_from_deeper_in_the_stack() -> None:
    text = dumps(nested(150))

    def deeper(frames: int) -> Any:
        return deeper(frames - 1) if frames else loads(text)

    assert is_same(deeper(200), nested(150))


@pytest.mark.parametrize(
    "cell", [[1], {"a": [1]}, {1}, bytearray(b"a"), np.arange(2), {1: 2}, of_objects([[1]])]
)
def test_each_reading_makes_new_objects(cell: Any) -> None:
    text = dumps(cell)
    one, other = loads(text), loads(text)
    assert one is not other
    if hasattr(one, "clear"):
        one.clear()
    else:
        one[0] = 9
    assert is_same(other, cell)


@pytest.mark.parametrize("tag", ["$os.system", "$builtins.eval", "$subprocess.Popen", "$", "$dtype", "$int"])
def test_an_unknown_tag_is_a_codec_error(tag: str) -> None:
    with pytest.raises(CodecError, match="unknown kind"):
        loads(json.dumps([{"a": {tag: ["echo", 1]}}]))


def test_no_module_is_loaded_by_a_name_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "poison.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for tag in ("$poison", "$poison.Type", "$poison:run"):
        with pytest.raises(CodecError):
            loads(json.dumps({tag: []}))
    assert not (tmp_path / "ran").exists()
    assert "poison" not in sys.modules


def test_a_type_is_named_as_people_know_it() -> None:
    assert [name_of(kind) for kind in (int, Decimal, np.int64)] == ["int", "decimal.Decimal", "numpy.int64"]


def test_plain_values_are_what_json_has() -> None:
    plain = to_plain([Decimal("1.5"), {"a": b"x"}])
    assert json.loads(json.dumps(plain)) == plain
    assert from_plain(plain) == [Decimal("1.5"), {"a": b"x"}]
