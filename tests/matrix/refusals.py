"""What is refused: the list that docs/types.md prints, and that the matrix and the tests beside it measure."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from dateutil.tz import tzlocal

from tests.matrix.cells import REFUSED, Cell
from tests.matrix.options import PANDAS


@dataclass(frozen=True)
class Refusal:
    """A cell of the matrix, or several, that is refused.

    Args:
        driver: its name, also for its sessions in other time zones.
        subject: the type's name.
        options: the option set's name.
        reason: the refusal, without the column that it names.
        pandas: the major version that gives such a frame; 0 is any.
        where: a condition that a test cannot see; without one, the refusal must be seen.
    """

    driver: str
    subject: str
    options: str
    reason: str
    pandas: int = 0
    where: str = ""

    def is_of(self, driver: str, cell: Cell) -> bool:
        """Whether this is the cell, refused for this reason."""
        return (
            self.is_of_this_pandas
            and driver.partition(",")[0] == self.driver
            and (cell.subject, cell.options, cell.outcome) == (self.subject, self.options, REFUSED)
            and self.reason in cell.why
        )

    @property
    def is_of_this_pandas(self) -> bool:
        """Whether this pandas gives such a frame."""
        return self.pandas in (0, PANDAS)

    @property
    def must_be_seen(self) -> bool:
        """Whether the matrix finds it here."""
        return self.is_of_this_pandas and not self.where


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "ADBC SQLite",
        "text, not UTF-8",
        "index_col",
        "holds a value that Parquet does not keep (ArrowException)",
        pandas=3,
    ),
    Refusal(
        "ADBC PostgreSQL",
        "interval[]",
        "pyarrow",
        "is of dtype list<item: month_day_nano_interval>[pyarrow]",
    ),
    Refusal(
        "pg8000",
        "timetz",
        "parse_dates=[...]",
        "has a time zone of type dateutil.tz.tz.tzlocal",
        pandas=2,
        where="the machine's own time zone is UTC, and pandas takes it for the zone of `+00`",
    ),
    Refusal(
        "PyMySQL",
        "varchar(20)",
        "index_col=[2]",
        "is not in the order that pandas makes of its values",
        pandas=2,
    ),
)


class _Mood(Enum):
    OK = 1


class _Point:
    pass


def _cell(value: Any) -> pd.DataFrame:
    array = np.empty(1, dtype=object)
    array[0] = value
    return pd.DataFrame({"a": pd.Series(array, dtype=object)})


def _itself() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def _noted() -> pd.DataFrame:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["source"] = "sales"
    return frame


def _daily() -> pd.DataFrame:
    return pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2, freq="D"))


@dataclass(frozen=True)
class Made:
    """What no driver of the matrix gives, and adapters, converters and types of one's own may.

    Args:
        name: what a person calls it.
        make: a frame that holds it.
        reason: the refusal.
    """

    name: str
    make: Callable[[], pd.DataFrame]
    reason: str


MADE: tuple[Made, ...] = (
    Made(
        "an object of a class of one's own, or of a library's that is not listed here",
        lambda: _cell(_Point()),
        "holds objects of type tests.matrix.refusals._Point",
    ),
    Made(
        "a member of an `Enum`, as SQLAlchemy's `Enum(Mood)` gives it",
        lambda: _cell(_Mood.OK),
        "holds objects of type tests.matrix.refusals._Mood",
    ),
    Made(
        "a time in the zone of the machine, whichever that is",
        lambda: _cell(datetime(2024, 1, 1, tzinfo=tzlocal())),
        "has a time zone of type dateutil.tz.tz.tzlocal",
    ),
    Made(
        "a `memoryview` that can be written to",
        lambda: _cell(memoryview(bytearray(b"x"))),
        "holds a memoryview of format 'B', or one that can be written to",
    ),
    Made(
        "a `uuid.UUID` that this machine has made",
        lambda: _cell(uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe)),
        "holds a uuid.UUID that knows how it was made",
    ),
    Made("a list that is within itself", lambda: _cell(_itself()), "too large or too deep for a text"),
    Made(
        "periods, intervals, sparse and complex numbers: no query gives them",
        lambda: pd.DataFrame({"a": [1j]}),
        "is of dtype complex128",
    ),
    Made("a frame with `attrs`, flags or a class of its own", _noted, "or has attrs or flags"),
    Made("an index with a `freq`", _daily, "the index has a freq"),
)
