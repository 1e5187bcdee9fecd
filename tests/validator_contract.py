"""What every validator does; the tests of each kind subclass it, and so may those of third parties.

Each read has a ttl of 0, so that nothing but the validator's word makes it a hit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import Outcome, QueryCache, Result
from sqlcache_nb.request import CacheOptions, PandasCall
from tests.strict import differences

QUERY = "select id, region, amount from sales order by id"


class ValidatorContract:
    """Subclasses give the fixtures `con`, an Engine, and `run`, which commits statements as another program would."""

    validate: Any
    """What is given to each read."""
    changes: tuple[tuple[str, ...], ...]
    """Statements, each group of which changes the answer to `QUERY` when it is committed."""

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        if "change" in metafunc.fixturenames:
            metafunc.parametrize("change", cls.changes, ids=[" ".join(each)[:40] for each in cls.changes])

    def read(self, cache: QueryCache, con: Any) -> Result:
        return cache.read(QUERY, con, ttl=0, validate=self.validate)

    def test_nothing_changed_is_proven(self, cache: QueryCache, con: Engine) -> None:
        results = [self.read(cache, con) for _ in range(3)]
        assert [each.outcome for each in results] == [Outcome.MISS, Outcome.HIT, Outcome.HIT]
        ((tokens),) = {tuple(sorted(each.entry.tokens.items())) for each in results if each.entry is not None}
        assert tokens

    def test_each_change_is_seen_by_the_next_read(
        self, cache: QueryCache, con: Engine, run: Callable[..., None], change: tuple[str, ...]
    ) -> None:
        before = self.read(cache, con).frame
        assert self.read(cache, con).outcome is Outcome.HIT
        run(*change)
        after = self.read(cache, con)
        assert after.outcome is not Outcome.HIT
        assert differences(before, after.frame) != []
        assert differences(pd.read_sql(QUERY, con), after.frame) == []

    def test_the_token_is_taken_before_the_fetch(
        self, cache: QueryCache, con: Engine, run: Callable[..., None]
    ) -> None:
        """What is committed just before the fetch is in the answer, and its token is older: the next read asks again."""
        call, options = PandasCall(QUERY), CacheOptions(ttl=0, validate=self.validate)
        asked = cache.ask(call, con, options, before=lambda _: run(*self.changes[0]))
        assert asked.outcome is Outcome.MISS
        assert differences(pd.read_sql(QUERY, con), asked.frame) == []
        after = self.read(cache, con)
        assert after.outcome is not Outcome.HIT
        assert differences(pd.read_sql(QUERY, con), after.frame) == []
        assert self.read(cache, con).outcome is Outcome.HIT
