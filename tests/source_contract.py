"""What every source that can be cached does; the tests of each kind subclass it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sqlcache_nb import Outcome, QueryCache
from sqlcache_nb.freshness import Reason
from sqlcache_nb.sources import source_of
from tests.strict import differences

QUERY = "select id, region, amount from sales order by id"


class SourceContract:
    """Subclasses give the fixtures `con` and `write`, and say the database's `label`."""

    label: str

    def test_the_second_answer_is_the_first_and_pandas_own(self, cache: QueryCache, con: Any) -> None:
        first, second = (cache.read(QUERY, con) for _ in range(2))
        assert (first.outcome, second.outcome) == (Outcome.MISS, Outcome.HIT)
        assert differences(first.frame, second.frame) == []
        assert len(second.frame) == 6

    def test_the_source_is_named(self, cache: QueryCache, con: Any) -> None:
        assert source_of(con).label == self.label
        assert cache.read(QUERY, con).source == self.label

    def test_a_changed_database_is_asked_again(
        self, cache: QueryCache, con: Any, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, con)
        write("update sales set amount = 99.0 where id = 1")
        changed = cache.read(QUERY, con)
        assert (changed.outcome, changed.reason) == (Outcome.MISS, Reason.FILE_CHANGED)
        assert changed.frame["amount"].tolist()[0] == 99.0
        assert cache.read(QUERY, con).outcome is Outcome.HIT

    def test_an_error_of_the_database_stores_nothing(self, cache: QueryCache, con: Any) -> None:
        with pytest.raises(Exception, match="nowhere"):
            cache.read("select * from nowhere", con)
        assert len(cache.entries()) == 0
