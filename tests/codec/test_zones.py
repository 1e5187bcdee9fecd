"""Time zones come back as objects of the same type, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

import pytest
from dateutil import tz
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.codec.zones import zone_of, zone_spec
from sqlcache_nb.errors import CodecError, NotCacheable
from tests.codec.frames import ZONES


@pytest.mark.parametrize("zone", ZONES, ids=repr)
def test_a_zone_comes_back(zone: tzinfo) -> None:
    again = zone_of(json.loads(json.dumps(zone_spec(zone))))
    assert (type(again), repr(again)) == (type(zone), repr(zone))


def test_named_zones_are_the_very_objects() -> None:
    assert zone_of(zone_spec(ZoneInfo("Asia/Tokyo"))) is ZoneInfo("Asia/Tokyo")
    assert zone_of(zone_spec(UTC)) is UTC


@given(
    offset=st.timedeltas(-timedelta(hours=24), timedelta(hours=24)).filter(
        lambda offset: abs(offset) < timedelta(hours=24)
    ),
    name=st.none() | st.text(st.characters(), max_size=3),
)
def test_every_offset_and_name_comes_back(offset: timedelta, name: str | None) -> None:
    zone = timezone(offset) if name is None else timezone(offset, name)
    again = zone_of(json.loads(json.dumps(zone_spec(zone))))
    assert repr(again) == repr(zone)
    assert again.utcoffset(None) == offset


def test_a_variant_of_pytz_is_told_by_its_zone() -> None:
    pytz = pytest.importorskip("pytz")
    berlin = pytz.timezone("Europe/Berlin")
    assert zone_of(zone_spec(berlin.localize(datetime(2024, 7, 1)).tzinfo)) is berlin


def zone_file() -> BytesIO:
    for folder in TZPATH:
        path = Path(folder) / "Asia" / "Tokyo"
        if path.exists():
            return BytesIO(path.read_bytes())
    pytest.skip("there is no folder of time zones")


class OwnZone(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        return timedelta(hours=1)


class Berlin(ZoneInfo):
    pass


REFUSED: dict[str, Any] = {
    "a zone from a file of one's own": lambda: ZoneInfo.from_file(zone_file(), key="Europe/Berlin"),
    "a zone of no name": lambda: ZoneInfo.from_file(zone_file()),
    "a subclass": lambda: Berlin("Europe/Berlin"),
    "a class of one's own": OwnZone,
    "dateutil's, which reads files": lambda: tz.gettz("Europe/Berlin"),
    "dateutil's, which asks the machine": tz.tzlocal,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_other_zones_are_refused_by_their_type(make: Any) -> None:
    zone = make()
    with pytest.raises(NotCacheable, match=type(zone).__qualname__):
        zone_spec(zone)


@pytest.mark.parametrize("spec", [{}, {"zone": "UTC"}, {"magic": 1}, {"offset name": 1}], ids=json.dumps)
def test_a_spec_of_an_unknown_kind_is_a_codec_error(spec: dict[str, Any]) -> None:
    with pytest.raises(CodecError, match="unknown kind"):
        zone_of(spec)
