"""Every column type of every database, by every driver, under every option: exact, or refused with its reason."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Connection

from sqlcache_nb import Outcome, QueryCache
from sqlcache_nb.codec import cells as codec_cells
from sqlcache_nb.codec import encode
from sqlcache_nb.errors import NotCacheable
from tests.matrix import duckdb, mariadb, postgresql, sqlite
from tests.matrix.cells import CHANGED, NOT_READ, REFUSED, Cell, cells
from tests.matrix.drivers import (
    DRIVERS,
    Database,
    Driver,
    duckdb_database,
    mariadb_database,
    postgresql_database,
    sqlite_database,
)
from tests.matrix.options import OPTION_SETS
from tests.matrix.refusals import MADE, REFUSALS, Made
from tests.matrix.report import with_generated_parts
from tests.matrix.tables import ColumnType
from tests.strict import differences

DOCS = Path(__file__).parents[2] / "docs" / "types.md"
LEAST_READABLE = 8
"""Option sets under which a column type is read by each driver that reads it at all; ADBC knows only ten."""

MODULES = {
    "DuckDB": "duckdb_sqlalchemy",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pg8000": "pg8000",
    "PyMySQL": "pymysql",
    "ADBC SQLite": "adbc_driver_sqlite",
    "ADBC PostgreSQL": "adbc_driver_postgresql",
}


@pytest.fixture(scope="session")
def types_of_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with sqlite_database(tmp_path_factory.mktemp("types")) as database:
        yield database


@pytest.fixture(scope="session")
def types_of_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with duckdb_database(tmp_path_factory.mktemp("types")) as database:
        yield database


@pytest.fixture(scope="session")
def types_of_postgresql(postgresql_url: str) -> Iterator[Database]:
    with postgresql_database(postgresql_url) as database:
        yield database


@pytest.fixture(scope="session")
def types_of_mariadb(mariadb_url: str) -> Iterator[Database]:
    with mariadb_database(mariadb_url) as database:
        yield database


@pytest.fixture
def database(driver: Driver, request: pytest.FixtureRequest) -> Database:
    """The driver's database; skips where the driver or the server is not installed."""
    name = driver.name.partition(",")[0]
    if name in MODULES:
        pytest.importorskip(MODULES[name], reason=f"{name} is not installed")
    database: Database = request.getfixturevalue(f"types_of_{driver.database.lower()}")
    return database


def of_each(drivers: Iterable[Driver]) -> list[Any]:
    """The drivers as parameters: servers are marked."""
    return [
        pytest.param(
            driver,
            id=driver.name,
            marks=[pytest.mark.server] if driver.database in ("PostgreSQL", "MariaDB") else [],
        )
        for driver in drivers
    ]


# --- the matrix -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("driver", of_each(DRIVERS))
def test_every_type_is_exact_or_refused_as_is_said(driver: Driver, database: Database) -> None:
    found = list(cells(driver, database))
    assert [cell for cell in found if cell.outcome == CHANGED] == []
    refused = [cell for cell in found if cell.outcome == REFUSED]
    assert [cell for cell in refused if not any(each.is_of(driver.name, cell) for each in REFUSALS)] == []
    expected = [each for each in REFUSALS if each.driver == driver.name and each.must_be_seen]
    assert [each for each in expected if not any(each.is_of(driver.name, cell) for cell in refused)] == []
    assert unreadable(found) - driver.unreadable_at_times == driver.unreadable & names(driver, database)
    assert hardly_readable(found) - driver.unreadable - driver.unreadable_at_times == set()


def names(driver: Driver, database: Database) -> set[str]:
    return {subject.name for subject in driver.subjects(database)}


def by_subject(found: list[Cell]) -> dict[str, list[Cell]]:
    """The cells of each type."""
    grouped: defaultdict[str, list[Cell]] = defaultdict(list)
    for cell in found:
        grouped[cell.subject].append(cell)
    return grouped


def unreadable(found: list[Cell]) -> set[str]:
    """Types that are not read without options: of those nothing is tested."""
    return {cell.subject for cell in found if (cell.options, cell.outcome) == ("default", NOT_READ)}


def hardly_readable(found: list[Cell]) -> set[str]:
    """Types that are read under few options only, be it by a fault of the matrix."""
    hardly = set()
    for subject, its_cells in by_subject(found).items():
        read = sum(cell.outcome != NOT_READ for cell in its_cells)
        # Odd results have fewer option sets.
        if read < (LEAST_READABLE if len(its_cells) >= 13 else len(its_cells) / 2):
            hardly.add(subject)
    return hardly


# --- through the cache --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "driver",
    of_each(each for each in DRIVERS if not each.only and each.name != "ADBC PostgreSQL"),
)
def test_a_hit_is_what_pandas_gives(driver: Driver, database: Database, cache: QueryCache) -> None:
    never_read = driver.unreadable | driver.unreadable_at_times
    subjects = [
        each for each in driver.subjects(database) if each.name not in never_read and not each.is_shape
    ]
    with driver.open(database) as connection:
        con = connection.engine if isinstance(connection, Connection) else connection
        for position, subject in enumerate(subjects[::2]):
            options: dict[str, Any] = {"index_col": "id"} if position % 2 else {}
            query = subject.query(("id", "v", "w"))
            expected = pd.read_sql(query, con, **options)
            first, second = (cache.read(query, con, **options) for _ in range(2))
            assert (first.outcome, second.outcome) == (Outcome.MISS, Outcome.HIT), subject.name
            assert differences(expected, first.frame) == [], subject.name
            assert differences(expected, second.frame) == [], subject.name


# --- what is said ---------------------------------------------------------------------------------------


def test_there_are_13_option_sets_and_tables_by_name() -> None:
    assert len([options for options in OPTION_SETS if not options.by_name]) == 13
    assert len({options.name for options in OPTION_SETS}) == len(OPTION_SETS)


@pytest.mark.parametrize("types", [duckdb.TYPES, mariadb.TYPES, postgresql.TYPES, sqlite.TYPES])
def test_every_type_has_a_name_of_its_own(types: tuple[ColumnType, ...]) -> None:
    assert len({column.name for column in types}) == len(types)


@pytest.mark.parametrize("made", [pytest.param(made, id=made.name) for made in MADE])
def test_what_else_is_refused(made: Made) -> None:
    with pytest.raises(NotCacheable, match=re.escape(made.reason)):
        encode(made.make(), "{}")


def test_the_document_is_up_to_date() -> None:
    document = DOCS.read_text(encoding="utf-8")
    assert with_generated_parts(document) == document, "run `make types ARGS=--write`"


def test_the_document_names_every_type_that_a_cell_may_be_of() -> None:
    named = set(re.findall(r"`(\w+)`", DOCS.read_text(encoding="utf-8")))
    assert {tag.rpartition(".")[2] for tag in codec_cells._FORM_OF_TAG} <= named
