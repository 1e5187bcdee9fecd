"""The value types that drivers bring with them: what a value consists of, and what makes it again.

A driver is imported only where a value of its own is made: whoever reads it has the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class DriverType(NamedTuple):
    """One type of a driver's.

    Args:
        module: where the driver says that it is defined.
        name: its name there.
        parts: what a value consists of.
        make: a value of its parts.
    """

    module: str
    name: str
    parts: Callable[[Any], tuple[Any, ...]]
    make: Callable[..., Any]


def _psycopg_range(lower: Any, upper: Any, bounds: str) -> Any:
    from psycopg.types.range import Range

    return Range(lower, upper, bounds) if bounds else Range(empty=True)


def _psycopg_multirange(*ranges: Any) -> Any:
    from psycopg.types.multirange import Multirange

    return Multirange(ranges)


def _psycopg2_range(name: str) -> DriverType:
    def make(lower: Any, upper: Any, bounds: str | None) -> Any:
        from psycopg2 import extras

        kind = getattr(extras, name)
        return kind(lower, upper, bounds) if bounds else kind(empty=True)

    def parts(value: Any) -> tuple[Any, ...]:
        return value._lower, value._upper, value._bounds  # noqa: SLF001  # no public way tells an empty one

    return DriverType("psycopg2._range", name, parts, make)


def _pg8000_range(lower: Any, upper: Any, bounds: str, is_empty: bool) -> Any:
    from pg8000.types import Range

    return Range(lower, upper, bounds, is_empty)


_INTERVAL_PARTS = (
    "millennia centuries decades years months weeks days hours minutes seconds microseconds".split()
)


def _pg8000_interval(*parts: Any) -> Any:
    from pg8000.types import PGInterval

    return PGInterval(*parts)


def _sqlalchemy_range(lower: Any, upper: Any, bounds: Any, empty: bool) -> Any:
    from sqlalchemy.dialects.postgresql import Range

    return Range(lower, upper, bounds=bounds, empty=empty)


def _sqlalchemy_multirange(*ranges: Any) -> Any:
    from sqlalchemy.dialects.postgresql.ranges import MultiRange

    return MultiRange(ranges)


TYPES: tuple[DriverType, ...] = (
    DriverType(
        "psycopg.types.range",
        "Range",
        lambda value: (value.lower, value.upper, value.bounds),
        _psycopg_range,
    ),
    DriverType("psycopg.types.multirange", "Multirange", tuple, _psycopg_multirange),
    *map(_psycopg2_range, ("NumericRange", "DateRange", "DateTimeRange", "DateTimeTZRange")),
    DriverType(
        "pg8000.types",
        "Range",
        lambda value: (value.lower, value.upper, value.bounds, value.is_empty),
        _pg8000_range,
    ),
    DriverType(
        "pg8000.types",
        "PGInterval",
        lambda value: tuple(getattr(value, part) for part in _INTERVAL_PARTS),
        _pg8000_interval,
    ),
    DriverType(
        "sqlalchemy.dialects.postgresql.ranges",
        "Range",
        lambda value: (value.lower, value.upper, value.bounds, value.empty),
        _sqlalchemy_range,
    ),
    DriverType("sqlalchemy.dialects.postgresql.ranges", "MultiRange", tuple, _sqlalchemy_multirange),
)
"""Every type of a driver's that can be stored."""
