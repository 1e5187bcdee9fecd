"""One cell of the matrix: a type, a driver and an option set, read and stored and read again."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sqlcache_nb.codec import ChunkWriter, Payload, encode
from sqlcache_nb.errors import NotCacheable
from tests.matrix.drivers import Database, Driver
from tests.matrix.options import OPTION_SETS, OptionSet
from tests.matrix.tables import Subject
from tests.strict import differences

Finding = tuple[str, str]
"""An outcome, and why."""
EXACT, REFUSED, CHANGED, NOT_READ = "exact", "refused", "CHANGED", "n/a"


@dataclass(frozen=True)
class Cell:
    """What came of one type, driver and option set.

    Args:
        subject: the type's name.
        options: the option set's name.
        outcome: exact, refused (an honest one), changed (a fault of ours) or n/a (pandas or the driver raises).
        why: the refusal, the difference, or pandas' own error.
    """

    subject: str
    options: str
    outcome: str
    why: str = ""


def cells(driver: Driver, database: Database) -> Iterator[Cell]:
    """Every cell of a driver."""
    with driver.open(database) as connection:
        reader = _Reader(driver, connection)
        for subject in driver.subjects(database):
            for options in OPTION_SETS:
                if _applies(driver, subject, options):
                    yield reader.cell(subject, options)


def _applies(driver: Driver, subject: Subject, options: OptionSet) -> bool:
    if options.by_name:
        return subject.table is not None and driver.reflects
    return len(subject.labels) >= options.needs


class _Reader:
    def __init__(self, driver: Driver, connection: Any) -> None:
        self.driver = driver
        self.connection = connection

    def cell(self, subject: Subject, options: OptionSet) -> Cell:
        """One cell: the columns together; where pandas cannot read them together, each by itself."""
        found = [self._finding(subject, subject.labels, options)]
        beside: list[Finding] = []
        if not (subject.is_shape or options.by_name):
            if found[0][0] == NOT_READ:
                found += [self._finding(subject, ("id", label), options) for label in ("v", "w")]
                # NULL alone, and no row: what cannot be read is seldom in there.
                beside.append(self._finding(subject, ("id", "n"), options))
            if options.shapes_empty:
                beside.append(self._finding(subject, subject.labels, options, rows=False))
        for outcome, among in (
            (CHANGED, found + beside),
            (REFUSED, found + beside),
            (EXACT, found),
            (NOT_READ, found),
        ):
            for is_, why in among:
                if is_ == outcome:
                    return Cell(subject.name, options.name, outcome, why)
        raise AssertionError("a cell without a finding")

    def _finding(
        self, subject: Subject, labels: tuple[str, ...], options: OptionSet, *, rows: bool = True
    ) -> Finding:
        # As pd.read_sql would, which asks the server first whether the query is a table's name.
        read_sql: Any = pd.read_sql_table if options.by_name else pd.read_sql_query
        query = subject.table if options.by_name else subject.query(labels, rows=rows)
        with warnings.catch_warnings(), ExitStack() as settings:
            # What pandas and SQLAlchemy say of odd types is not what is tested.
            warnings.simplefilter("ignore")
            for name, value in options.settings.items():
                settings.enter_context(pd.option_context(name, value))
            try:
                read = read_sql(query, self.connection, **options.arguments(labels))
                read = read if isinstance(read, pd.DataFrame) else list(read)
            except Exception as fault:  # noqa: BLE001  # whatever pandas or a driver may raise
                self.driver.recover(self.connection, fault)
                return NOT_READ, f"{type(fault).__module__}.{type(fault).__qualname__}: {fault}"
        return kept(read) if isinstance(read, pd.DataFrame) else kept_in_chunks(read)


# --- what is kept ---------------------------------------------------------------------------------------


def kept(frame: pd.DataFrame) -> Finding:
    """What the codec makes of a frame."""
    try:
        data = encode(frame, "{}")
        found = _faults([frame], lambda: iter([Payload(data).frame]))
    except NotCacheable as refusal:
        return REFUSED, str(refusal)
    except Exception as fault:  # noqa: BLE001  # a fault of ours is a finding, and the next cell is to be seen
        return CHANGED, f"{type(fault).__qualname__}: {fault}"
    return (CHANGED, "; ".join(found)) if found else (EXACT, "")


def kept_in_chunks(frames: list[pd.DataFrame]) -> Finding:
    """What the codec makes of frames that are chunks of one result."""
    writer = ChunkWriter(io.BytesIO)
    try:
        for frame in frames:
            writer.add(frame)
        data = writer.finish("{}").read()
        found = _faults(frames, lambda: Payload(data).chunks())
    except NotCacheable as refusal:
        return REFUSED, str(refusal)
    except Exception as fault:  # noqa: BLE001  # as above
        return CHANGED, f"{type(fault).__qualname__}: {fault}"
    finally:
        writer.close()
    return (CHANGED, "; ".join(found)) if found else (EXACT, "")


def _faults(before: list[pd.DataFrame], decode: Callable[[], Iterator[pd.DataFrame]]) -> list[str]:
    """In what the decoded frames are unlike, cannot be written to, or are not the caller's alone."""
    found = []
    if any(map(len, before)):
        for old, new in zip(before, decode(), strict=True):
            found += _unwritable(old, new)
            _spoil(new)
    # What a first caller did to its frames must not be seen in a second one's.
    for old, new in zip(before, decode(), strict=True):
        found += differences(old, new)
    return found


def _unwritable(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Columns that pandas can write to in its own frame, and cannot in the decoded one."""
    found = []
    own = before.copy()
    for position in range(before.shape[1] if len(before) else 0):
        faults = [_write(frame, position) for frame in (own, after)]
        if faults[0] != faults[1]:
            found.append(
                f"column {position}: written to, pandas' own frame says {faults[0]}, this {faults[1]}"
            )
    return found


def _write(frame: pd.DataFrame, position: int) -> str | None:
    """Puts a column's last cell into its first; what pandas says against it."""
    try:
        last: Any = frame.iloc[-1, position]
        frame.iat[0, position] = last  # noqa: PD009  # puts a list into a cell, which iloc takes apart
    except (TypeError, ValueError, OverflowError, NotImplementedError) as fault:
        return f"{type(fault).__qualname__}: {fault}"
    return None


def _spoil(frame: pd.DataFrame) -> None:
    """Changes, in place, whatever in a frame can be changed."""
    columns: list[Any] = [*(frame.iloc[:, position] for position in range(frame.shape[1])), frame.index]
    for values in columns:
        for value in values if values.dtype == object else ():
            _spoil_cell(value)


def _spoil_cell(value: Any) -> None:
    for item in _items(value):
        _spoil_cell(item)
    match value:
        case np.ndarray() if value.dtype != object:
            value.view("u1").fill(1)
        case np.ndarray():
            value.fill("spoiled")
        case dict():
            value["spoiled"] = True
        case set():
            value.add("spoiled")
        case MutableSequence():  # psycopg's multiranges are some, too
            del value[:]
        case _ if type(value).__module__ == "pg8000.types":
            vars(value).update(dict.fromkeys(vars(value), "spoiled"))


def _items(value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        return list(value.ravel()) if value.dtype == object else []
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, tuple | MutableSequence) else []
