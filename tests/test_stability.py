"""The same question has the same key in any process: whatever was imported, in any order, with any hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest

IMPORTS = {
    "pandas first": "import pandas, sqlalchemy, sqlcache_nb",
    "sqlalchemy first, and nothing beside it": "import sqlalchemy, sqlcache_nb",
    "ours first": "import sqlcache_nb, numpy, sqlalchemy, pandas",
    "ours last": "import duckdb, pyarrow, numpy, sqlalchemy.orm, sqlalchemy.dialects.postgresql, sqlcache_nb",
}
REFUSED = {
    *product(["sqlite", "postgresql"], ["callable value", "result type of one's own", "enum class"]),
    ("postgresql", "json"),  # psycopg wraps it into an object of its own
}
SCRIPT = Path(__file__).with_name("stability_script.py")


def keys_of(imports: str, seed: int, folder: Path) -> dict[str, Any]:
    """The keys that another process finds, by the questions' names."""
    done = subprocess.run(
        [sys.executable, "-c", f"{imports}\nexec(open({str(SCRIPT)!r}).read())", str(folder), str(seed)],
        env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
    folder = tmp_path_factory.mktemp("databases")
    return {name: keys_of(imports, seed, folder) for seed, (name, imports) in enumerate(IMPORTS.items())}


@pytest.mark.parametrize("name", IMPORTS)
def test_keys_are_the_same_in_every_process(found: dict[str, dict[str, Any]], name: str) -> None:
    first, here = found["pandas first"], found[name]
    assert {question: key for question, key in here.items() if first[question] != key} == {}
    assert here.keys() == first.keys()


def test_dialects_that_have_connected_give_the_same_keys(found: dict[str, dict[str, Any]]) -> None:
    keys = found["pandas first"]
    cold = {name: key for name, key in keys.items() if name.endswith(" cold")}
    assert len(cold) > 30
    assert {name: key for name, key in cold.items() if keys[name.replace(" cold", " warm")] != key} == {}


def test_questions_are_told_apart_and_few_refused(found: dict[str, dict[str, Any]]) -> None:
    cold = {name: key for name, key in found["pandas first"].items() if name.endswith(" cold")}
    refused = {name.removesuffix(" cold"): key for name, key in cold.items() if " " in key}
    assert refused.keys() == {f"{source}: {what}" for source, what in REFUSED}
    assert all(" at 0x" not in reason for reason in refused.values())
    keys = [key for key in cold.values() if " " not in str(key)]
    assert len(set(keys)) == len(keys)
