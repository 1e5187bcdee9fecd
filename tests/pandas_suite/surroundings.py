"""A plugin for the process that runs pandas' tests: their data file, their servers, and what became of each test.

It is loaded after `pandas.conftest`, whose fixture `datapath` it replaces.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

MYSQL = "SQLCACHE_NB_SUITE_MYSQL"
POSTGRESQL = "SQLCACHE_NB_SUITE_POSTGRESQL"
ADBC = "SQLCACHE_NB_SUITE_ADBC"
IRIS = "SQLCACHE_NB_SUITE_IRIS"
OUTCOMES = "SQLCACHE_NB_SUITE_OUTCOMES"

PLACES = {
    '"mysql+pymysql://root@localhost:3306/pandas"': MYSQL,
    '"postgresql+psycopg2://postgres:postgres@localhost:5432/pandas"': POSTGRESQL,
    '"postgresql://postgres:postgres@localhost:5432/pandas"': ADBC,
}
"""The servers of pandas' own CI, as they are written in its tests, and the variables that name ours."""


def with_our_servers(source: str) -> str:
    """The text of pandas' tests, with the servers that the environment names."""
    for written, variable in PLACES.items():
        if source.count(written) != 1:
            raise ValueError(f"pandas' tests do not connect to {written} exactly once")
        source = source.replace(written, f"__import__('os').environ['{variable}']")
    return source


def write_iris(path: Path) -> None:
    """A file with the shape of pandas' iris.csv: 150 flowers of three species, four lengths each.

    The lengths are made up, but for what pandas' tests look at: the first row, and that the first species has
    eight flowers whose sepals are as long as the first one's.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["SepalLength", "SepalWidth", "PetalLength", "PetalWidth", "Name"])
        for row in range(150):
            species, flower = divmod(row, 50)
            sepal = 51 if species == 0 and flower % 7 == 0 else 43 + 6 * species + row % 8
            lengths = (sepal, 35 - row * 11 % 13, 14 + 27 * species + row * 3 % 9, 2 + 10 * species + row % 5)
            name = ("Iris-setosa", "Iris-versicolor", "Iris-virginica")[species]
            writer.writerow([*(length / 10 for length in lengths), name])


@pytest.fixture
def datapath() -> Callable[..., str]:
    """Where pandas' tests find a data file."""

    def find(*parts: str) -> str:
        assert parts == ("io", "data", "csv", "iris.csv"), parts
        return os.environ[IRIS]

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of servers that are not there: pandas 2.2 would fail them."""
    for item in items:
        names = " ".join([*getattr(item, "fixturenames", ()), item.name])
        for word, variable in (("mysql", MYSQL), ("postgres", POSTGRESQL)):
            if word in names and variable not in os.environ:
                item.add_marker(pytest.mark.skip(reason=f"there is no server for {word}"))


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst of a test's three phases."""
    expected = "x" if hasattr(report, "wasxfail") else ""
    name = report.nodeid.partition("::")[2]
    if report.when == "call" or report.outcome != "passed":
        before = _outcomes.get(name, "")
        _outcomes[name] = f"{before} {report.when}:{expected}{report.outcome}".strip()


def pytest_sessionfinish() -> None:
    """Write down what became of each test."""
    Path(os.environ[OUTCOMES]).write_text(json.dumps(_outcomes), encoding="utf-8")
