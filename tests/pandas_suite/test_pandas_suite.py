"""pandas' own tests of `read_sql`, with every read done by pandas, as a miss and as a hit, and compared strictly.

`make pandas-suite` runs it and prints what was read. The tests are `pandas/tests/io/test_sql.py` of the pandas that is
installed, run twice at once, each in a process and with databases of its own: as they are, and with `three_way.py`. A
test must come out of both alike, so that what fails by itself in pandas is known without a list. The tests are a copy
in which nothing but the addresses of the servers is changed.

Servers are started as for the other tests (`tests/servers.py`); what needs one that is not there is skipped, and said.
Wheels of pandas do not have the tests' data file, iris.csv, and neither have its sdists: a file of the same shape is
made (`surroundings.py`). PANDAS_SOURCE may name a checkout of pandas that has the real one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import URL, create_engine, make_url

from tests import servers
from tests.pandas_suite import surroundings, three_way

ROOT = Path(__file__).parents[2]

LEAST_HITS = {
    "sqlite Engine": 125,
    "sqlite URL": 125,
    "sqlite Connection": 105,
    "sqlite3 connection -> sqlite3 connection": 70,
    "SQLite ADBC -> SQLite ADBC": 60,
    "postgresql Engine": 140,
    "postgresql Connection": 115,
    "PostgreSQL ADBC": 60,
    "mysql Engine": 130,
    "mysql Connection": 104,
}
"""A tenth below what was measured, by kind of connection: a run that bypasses everything shows nothing.

`a -> b` stands for reads from a that were bypassed, and read again from a connection b to the same data.
"""

LEAST_FRAMES = 830
"""Frames that went through the codec alone, those of SQLite: a tenth below what was measured without a server."""


class Servers:
    """The servers that are there, and why others are not."""

    def __init__(self, stack: ExitStack) -> None:
        self.missing: dict[str, str] = {}
        self.postgresql = self._started(stack, "postgresql", servers.postgresql)
        self.mysql = self._started(stack, "mysql", servers.mariadb)

    def _started(
        self, stack: ExitStack, name: str, start: Callable[[], AbstractContextManager[str]]
    ) -> URL | None:
        try:
            return make_url(stack.enter_context(start()))
        except servers.NoServer as reason:
            self.missing[name] = str(reason)
            return None

    def databases(self, stack: ExitStack, name: str) -> dict[str, str]:
        """New databases, as the variables that the tests look for."""
        found: dict[str, URL] = {}
        if self.postgresql is not None:
            url = stack.enter_context(database(self.postgresql, name))
            found[surroundings.POSTGRESQL] = url.set(drivername="postgresql+psycopg2")
            found[surroundings.ADBC] = url.set(drivername="postgresql")
        if self.mysql is not None:
            url = stack.enter_context(database(self.mysql, name))
            if "unix_socket" in url.query:  # pymysql prepares for TLS at each connection, which costs 20 ms
                url = url.update_query_dict({"ssl_disabled": "true"})
            found[surroundings.MYSQL] = url
        return {variable: url.render_as_string(hide_password=False) for variable, url in found.items()}


@contextmanager
def database(server: URL, name: str) -> Iterator[URL]:
    """A new database on a server."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    force = " WITH (FORCE)" if engine.dialect.name == "postgresql" else ""
    with engine.connect() as con:
        con.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name)
    finally:
        with engine.connect() as con:
            con.exec_driver_sql(f"DROP DATABASE {name}{force}")
        engine.dispose()


class Run:
    """pandas' tests in a process of their own."""

    def __init__(self, folder: Path, databases: Mapping[str, str], *plugins: str) -> None:
        folder.mkdir()
        self._folder = folder
        package = Path(pd.__file__).parent
        source = (package / "tests" / "io" / "test_sql.py").read_text(encoding="utf-8")
        (folder / "test_sql.py").write_text(surroundings.with_our_servers(source), encoding="utf-8")
        iris = folder / "iris.csv"
        if checkout := os.environ.get("PANDAS_SOURCE"):
            shutil.copy(Path(checkout) / "pandas" / "tests" / "io" / "data" / "csv" / "iris.csv", iris)
        else:
            surroundings.write_iris(iris)
        # What pytest and xdist say to their own processes is not meant for this one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TMPDIR": str(folder),
            surroundings.IRIS: str(iris),
            surroundings.OUTCOMES: str(folder / "outcomes.json"),
            three_way.REPORT: str(folder / "report.json"),
            **databases,
        }
        loaded = ["no:cacheprovider", "pandas.conftest", "tests.pandas_suite.surroundings", *plugins]
        with (folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "test_sql.py", "--quiet", "--tb=native"),
                    *("-c", str(package / "pyproject.toml"), "--override-ini=addopts="),
                    *("--rootdir", str(folder), "--basetemp", str(folder / "base")),
                    *(word for plugin in loaded for word in ("-p", plugin)),
                ],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until it is over."""
        status = self._process.wait()
        output = (self._folder / "output").read_text(encoding="utf-8", errors="replace")
        assert status in (0, 1), output[-5000:]  # 1: tests have failed

    def stop(self) -> None:
        """If it is still running."""
        self._process.kill()
        self._process.wait()

    def outcomes(self) -> dict[str, str]:
        """What became of each test."""
        return self._json("outcomes.json")

    def report(self) -> dict[str, Any]:
        """What was read, and what differed."""
        return self._json("report.json")

    def _json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self._folder / name).read_text(encoding="utf-8"))
        return content


def table(counts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The counts, a line for each kind of connection, and the reasons."""
    columns = ("miss", "hit", "bypassed", "raised")
    yield f"{'':43}{'reads':>9}" + "".join(f"{column:>9}" for column in columns) + f"{'alone':>9}"
    for kind, row in counts.items():
        cells = [row["reads"], *(row["outcomes"].get(column, 0) for column in columns)]
        yield f"{kind:43}" + "".join(f"{cell:9}" for cell in (*cells, sum(row["alone"].values())))
    for told, words in (
        ("alone", "left to pandas alone"),
        ("bypassed", "bypassed"),
        ("silent", "not warned again by a hit"),
        ("refused", "refused by the codec"),
    ):
        reasons = sum((Counter(row[told]) for row in counts.values()), Counter[str]())
        for reason, times in reasons.most_common():
            yield f"{words}: {times} x {reason}"
    for encoded in ("frames encoded", "chunks encoded"):
        yield f"{encoded} by the codec alone: {sum(row['outcomes'].get(encoded, 0) for row in counts.values())}"
    yield f"frames refused by the codec: {sum(sum(row['refused'].values()) for row in counts.values())}"


@pytest.mark.slow
@pytest.mark.server
def test_every_read_of_pandas_tests_is_the_same_three_ways(tmp_path: Path) -> None:
    if importlib.util.find_spec("pandas.tests.io.test_sql") is None:
        pytest.skip("this pandas was installed without its tests")
    with ExitStack() as stack:
        there = Servers(stack)
        runs = []
        for name, plugins in (("alone", []), ("three_way", ["tests.pandas_suite.three_way"])):
            databases = there.databases(stack, f"sqlcache_nb_{name}_{os.getpid()}")
            runs.append(Run(tmp_path / name, databases, *plugins))
            stack.callback(runs[-1].stop)
        for run in runs:
            run.wait()
    alone, three_ways = (run.outcomes() for run in runs)
    report = runs[1].report()
    counts = report["counts"]
    failed = sum("failed" in outcome for outcome in alone.values())
    said = [
        f"pandas {pd.__version__}: {len(alone)} tests, {failed} of which fail here without us",
        *(f"no server, and no test, of {server}: {reason}" for server, reason in there.missing.items()),
        *table(counts),
    ]
    sys.stdout.write("\n".join(["", *said, ""]))  # shown by `make pandas-suite`, and where the test fails

    assert not report["differences"], "\n".join(report["differences"][:20])
    assert alone.keys() == three_ways.keys()
    assert {test: (alone[test], three_ways[test]) for test in alone if alone[test] != three_ways[test]} == {}
    expected = {
        kind: least for kind, least in LEAST_HITS.items() if not any(word in kind for word in there.missing)
    }
    hits = {kind: counts.get(kind, {"outcomes": {}})["outcomes"].get("hit", 0) for kind in expected}
    assert {kind: hits[kind] for kind in expected if hits[kind] < expected[kind]} == {}
    assert sum(row["outcomes"].get("frames encoded", 0) for row in counts.values()) >= LEAST_FRAMES
    assert [reason for row in counts.values() for reason in row["refused"]] == []
