"""`cached_read_sql`: pandas' signature, quiet outside a notebook, light to import."""

from __future__ import annotations

import inspect
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

import sqlcache_nb
from sqlcache_nb import Outcome, Policy, QueryCache, api, cached_read_sql, default_cache
from tests.strict import differences

KEYWORDS = [
    "ttl",
    "refresh",
    "no_store",
    "offline",
    "stale_while_revalidate",
    "stale_if_error",
    "validate",
    "name",
    "tag",
    "source_name",
    "store_random",
    "pin",
]


@pytest.fixture(autouse=True)
def _fresh_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_default", [])


@pytest.mark.parametrize(
    ("function", "own"),
    [
        (cached_read_sql, [*KEYWORDS, "cache"]),
        (QueryCache.read, KEYWORDS),
        (QueryCache.read_sql, KEYWORDS),
        (QueryCache.why, KEYWORDS),
    ],
    ids=["cached_read_sql", "read", "read_sql", "why"],
)
def test_the_signature_begins_with_pandas_own(function: object, own: list[str]) -> None:
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]  # type: ignore[arg-type]
    theirs = list(inspect.signature(pd.read_sql).parameters.values())
    assert [(p.name, p.kind, p.default) for p in parameters[: len(theirs)]] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    assert [p.name for p in parameters[len(theirs) :]] == own
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[len(theirs) :])


def test_it_uses_the_default_cache_or_the_given_one(sales: Engine, cache: QueryCache) -> None:
    first, second = (cached_read_sql("select * from sales", sales) for _ in range(2))
    assert differences(first, second) == []
    assert default_cache().directory == Path(os.environ["SQLCACHE_NB_DIR"])
    assert default_cache().stats().hits == 1
    cached_read_sql("select * from sales", sales, cache=cache)
    assert cache.stats().misses == 1
    default_cache().close()


def test_it_prints_nothing_and_logs_one_line(
    sales: Engine, cache: QueryCache, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sqlcache_nb"):
        for _ in range(2):
            cached_read_sql("select * from sales", sales, cache=cache)
    assert capfd.readouterr() == ("", "")
    miss, hit = (record.getMessage() for record in caplog.records)
    assert miss.startswith("miss: first time · sales.db · 6 x 4 · took ")
    assert hit.startswith("hit · fetched ")
    assert "file unchanged · sales.db · 6 x 4" in hit


def test_importing_loads_nothing_that_the_first_call_does_not_need() -> None:
    code = "import json, sys; import sqlcache_nb; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    heavy = {
        "pandas",
        "numpy",
        "pyarrow",
        "sqlalchemy",
        "diskcache",
        "IPython",
        "sqlglot",
        "platformdirs",
        "xxhash",
    }
    assert loaded & heavy == set()


def test_a_hit_loads_neither_the_parser_nor_the_dataset_layer(sales_db: Path, cache: QueryCache) -> None:
    cache.read("select * from sales", f"sqlite:///{sales_db}")
    code = (
        "import sys; from sqlcache_nb import QueryCache;"
        "result = QueryCache(sys.argv[1]).read('select * from sales', sys.argv[2]); result.frame;"
        "print(result.outcome, [name for name in ('sqlglot', 'pyarrow.dataset', 'IPython') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(cache.directory), f"sqlite:///{sales_db}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{Outcome.HIT} []"


def test_every_export_exists_once_and_is_imported_for_type_checkers() -> None:
    source = Path(sqlcache_nb.__file__).read_text(encoding="utf-8")
    assert sorted(set(sqlcache_nb.__all__)) == sqlcache_nb.__all__
    for name in sqlcache_nb.__all__:
        assert getattr(sqlcache_nb, name) is not None
        assert f"import {name} as {name}\n" in source
    assert set(sqlcache_nb.__all__) <= set(dir(sqlcache_nb))
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        sqlcache_nb.nothing_of_ours  # noqa: B018


def test_what_comes_before_the_policy_of_the_default_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_overriding", [])
    api.override(Policy(offline=True))  # before that cache is made
    cache = default_cache()
    assert cache.policy_in_force == Policy(offline=True)
    cache.policy = mine = Policy(ttl="1h", offline=False)
    assert cache.policy_in_force == Policy(ttl="1h", offline=True)
    api.override(Policy(ttl="7d"))
    assert cache.policy_in_force == Policy(ttl="7d", offline=False)
    api.override(None)
    assert cache.policy_in_force is cache.policy is mine


def test_another_cache_keeps_to_its_own_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_overriding", [])
    api.override(Policy(offline=True))
    with QueryCache(tmp_path / "own") as cache:
        assert cache.policy_in_force is cache.policy
