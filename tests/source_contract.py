"""What every source that can be cached does; the tests of each kind subclass it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pandas as pd
import pytest

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache
from sqlcache_nb.freshness import Reason
from sqlcache_nb.sources import source_of
from tests.strict import differences

QUERY = "select id, region, amount from sales order by id"


def outcomes(cache: QueryCache, con: Any, sql: Any = QUERY, **options: Any) -> list[Outcome]:
    """Of the same question twice; each answer is pandas' own."""
    results = [cache.read(sql, con, **options) for _ in range(2)]
    asked = pd.read_sql(sql, con)
    assert [differences(asked, result.frame) for result in results] == [[], []]
    return [result.outcome for result in results]


class Contract:
    """Subclasses give the fixture `con`, and say the database's `label`."""

    label: str

    def test_the_second_answer_is_the_first_and_pandas_own(self, cache: QueryCache, con: Any) -> None:
        first, second = (cache.read(QUERY, con) for _ in range(2))
        assert (first.outcome, second.outcome) == (Outcome.MISS, Outcome.HIT)
        assert differences(first.frame, second.frame) == []
        assert len(second.frame) == 6

    def test_the_source_is_named(self, cache: QueryCache, con: Any) -> None:
        label = source_of(con).label
        assert label == cache.read(QUERY, con).source
        assert label.startswith(self.label)

    def test_an_error_of_the_database_stores_nothing(self, cache: QueryCache, con: Any) -> None:
        with pytest.raises(Exception, match="nowhere"):
            cache.read("select * from nowhere", con)
        assert len(cache.entries()) == 0


class SourceContract(Contract):
    """Of database files: subclasses give the fixture `write`, too."""

    def test_a_changed_database_is_asked_again(
        self, cache: QueryCache, con: Any, write: Callable[[str], None]
    ) -> None:
        cache.read(QUERY, con)
        write("update sales set amount = 99.0 where id = 1")
        changed = cache.read(QUERY, con)
        assert (changed.outcome, changed.reason) == (Outcome.MISS, Reason.FILE_CHANGED)
        assert changed.frame["amount"].tolist()[0] == 99.0
        assert cache.read(QUERY, con).outcome is Outcome.HIT


POSTGRESQL_SESSIONS = [
    ("set search_path to dev", QUERY),
    ("set role one", "select note from notes"),
    ("set role two", "select note from notes"),
    ("set time zone 'Asia/Tokyo'", "select cast(moment as text) as told from moments"),
    ("set datestyle to 'SQL, DMY'", "select cast(moment as text) as told from moments"),
    ("set intervalstyle to 'iso_8601'", "select cast(span as text) as told from moments"),
    ("set bytea_output to 'escape'", "select cast(bytes as text) as told from moments"),
    ("set extra_float_digits to -5", "select cast(real as text) as told from moments"),
    ("set app.tenant to 'red'", "select region from of_tenant"),
    ("set transform_null_equals to on", "select count(*) as n from sales where region = null"),
]


class ServerContract(Contract):
    """Of sessions of a server; subclasses run a statement in the session of their `con`."""

    sessions: list[tuple[str, str]]
    """Settings, and a question that they give another answer."""
    has_written: str
    """What is said of a transaction that has written."""

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        if "setting" in metafunc.fixturenames:
            metafunc.parametrize(("setting", "query"), cls.sessions)

    is_always_in_transaction = False

    def run(self, con: Any, sql: str) -> None:
        raise NotImplementedError

    def ask(self, con: Any, sql: str) -> pd.DataFrame:
        """What pandas itself says."""
        return pd.read_sql(sql, con)

    def test_what_is_set_in_a_session_is_another_question(
        self, cache: QueryCache, con: Any, setting: str, query: str
    ) -> None:
        plain = cache.read(query, con)
        self.run(con, setting)
        first, second = (cache.read(query, con) for _ in range(2))
        assert (first.outcome, second.outcome) == (Outcome.MISS, Outcome.HIT)
        asked = self.ask(con, query)
        assert [differences(asked, result.frame) for result in (first, second)] == [[], []]
        assert differences(plain.frame, second.frame) != []

    def test_rows_of_ones_own_are_never_anybody_elses(self, cache: QueryCache, con: Any, begin: str) -> None:
        self.run(con, begin)
        self.run(con, "delete from sales where id > 1")
        with pytest.warns(NotCachedWarning, match=self.has_written):
            assert len(cache.read(QUERY, con).frame) == 1
        self.run(con, "rollback")
        assert len(cache.read(QUERY, con).frame) == 6

    def test_a_temporary_table_in_the_place_of_another(self, cache: QueryCache, con: Any) -> None:
        cache.read(QUERY, con)
        self.run(con, "create temporary table sales as select 0 as id, 'x' as region, 1.5 as amount")
        self.run(con, "commit")
        for _ in range(2):
            with warnings.catch_warnings(action="ignore", category=NotCachedWarning):
                result = cache.read(QUERY, con)
            assert (result.outcome, len(result.frame)) == (Outcome.BYPASSED, 1)


class PostgresqlContract(ServerContract):
    """Of sessions of a PostgreSQL server."""

    sessions = POSTGRESQL_SESSIONS
    has_written = "has written"

    def test_an_open_transaction_is_known(self, con: Any, begin: str) -> None:
        def is_open() -> bool:
            with closing(source_of(con, QUERY)) as source:
                source.prepare()
                source.identify()
                return source.in_transaction()

        self.run(con, "rollback")
        assert is_open() is self.is_always_in_transaction
        self.run(con, "rollback")
        self.run(con, begin)
        assert is_open()
        self.run(con, "rollback")

    def test_a_transaction_that_failed_is_not_touched(self, cache: QueryCache, con: Any, begin: str) -> None:
        self.run(con, begin)
        with suppress(Exception):
            self.run(con, "select 1/0")
        with (
            warnings.catch_warnings(action="error", category=NotCachedWarning),
            pytest.raises(Exception, match=r"(?i)transaction"),
        ):
            cache.read(QUERY, con)
        self.run(con, "rollback")
        assert cache.read(QUERY, con).outcome is Outcome.MISS
