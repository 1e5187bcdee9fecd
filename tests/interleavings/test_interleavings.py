"""Random interleavings of writes and cached reads: with a validator, no answer is stale; without one, some are.

`python -m tests.interleavings` prints the table; with `SQLCACHE_NB_SCALE=1` it makes a thousand of each database, and these
tests a fifth of that, of which they are held to the same.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from sqlcache_nb import QueryCache
from tests.interleavings.run import FEWER, INTERLEAVINGS, SERVERS, WORLDS, Counts, Run, world_of
from tests.oracle import inconsistencies
from tests.scale import scaled

SEED = 20_261_121
PART = 5
"""A thousand of each take longer than all other tests together."""


def interleaved(
    name: str, request: pytest.FixtureRequest, times: int, *, validate: bool | None = None
) -> Counts:
    """What comes of some interleavings with a database."""
    if name == "duckdb":
        pytest.importorskip("duckdb_sqlalchemy", reason="duckdb-sqlalchemy is not installed")
    url = request.getfixturevalue(f"{name}_url") if name in SERVERS else None
    with ExitStack() as stack:
        world = stack.enter_context(world_of(name, SEED, url))
        with QueryCache(world.folder / "cache") as cache:
            counts = Run(world, cache, validate).interleave(times)
        assert inconsistencies(world.folder / "cache") == []
    return counts


@pytest.mark.slow
class TestInterleavings:
    @pytest.mark.parametrize(
        "name", [pytest.param(each, marks=[pytest.mark.server] * (each in SERVERS)) for each in WORLDS]
    )
    def test_with_the_validator_no_answer_is_stale(self, name: str, request: pytest.FixtureRequest) -> None:
        counts = interleaved(name, request, scaled(INTERLEAVINGS // FEWER.get(name, 1) // PART))
        assert counts.stale == []
        assert counts.hits > 0 or name in FEWER
        assert counts.needless < counts.unchanged or name in FEWER

    @pytest.mark.parametrize(
        "name", ["sqlite", "wal", "duckdb", pytest.param("postgresql", marks=pytest.mark.server)]
    )
    def test_without_it_some_are(self, name: str, request: pytest.FixtureRequest) -> None:
        """What finds nothing where there is something is no test."""
        counts = interleaved(name, request, 5, validate=False)
        assert len(counts.stale) > 0
