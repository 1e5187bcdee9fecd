"""Reads and writes in any order, each read held against what a connection of its own gives."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlcache_nb import NotCachedWarning, Outcome, QueryCache, ValidatorWarning
from tests import servers
from tests.interleavings.duckdb import Duckdb
from tests.interleavings.mariadb import Mariadb
from tests.interleavings.postgresql import Postgresql
from tests.interleavings.sqlite import Sqlite, SqliteWal
from tests.interleavings.world import Question, World
from tests.scale import folder_in_memory
from tests.strict import differences

INTERLEAVINGS = 1_000
_STEPS = (4, 12)
WORLDS: dict[str, type[World]] = {
    "sqlite": Sqlite,
    "wal": SqliteWal,
    "duckdb": Duckdb,
    "postgresql": Postgresql,
    "mariadb": Mariadb,
}
SERVERS = {"postgresql": servers.postgresql, "mariadb": servers.mariadb}
FEWER = {"mariadb": 20}
"""By how much fewer: the clock of a server has to move on."""


@dataclass
class Counts:
    """What came of the reads of one database.

    Args:
        reads: how many.
        hits: of them from the cache.
        stale: whose frame is not what the database gives.
        unchanged: of questions whose tables nobody has written to since they were read.
        needless: of those, asked again all the same.
    """

    interleavings: int = 0
    reads: int = 0
    hits: int = 0
    stale: list[str] = field(default_factory=list)
    unchanged: int = 0
    needless: int = 0


class Run:
    """Interleavings of one world, and what came of them.

    Args:
        world: the database.
        cache: what is read through.
        validate: what is given to each read, by default the world's own.
    """

    def __init__(self, world: World, cache: QueryCache, validate: Any = None) -> None:
        self.world = world
        self.cache = cache
        self.validate = world.validate if validate is None else validate
        self.counts = Counts()
        self._known: dict[
            str, Question
        ] = {}  # by their keys, those that were stored since their tables were changed
        self._log: list[str] = []

    def interleave(self, times: int) -> Counts:
        """Some interleavings, each of some steps in any order."""
        for _ in range(times):
            self._log.clear()
            self.counts.interleavings += 1
            for _ in range(self.world.chance.randint(*_STEPS)):
                if self.world.chance.random() < 0.35:
                    self.write()
                else:
                    self.read(self.world.chance.choice(self.world.questions))
        return self.counts

    def write(self) -> None:
        deed = self.world.chance.choice(self.world.deeds())
        self._log.append(deed.__name__)
        changed = set(deed())
        self._known = {key: each for key, each in self._known.items() if not each.tables & changed}

    def read(self, asked: Question) -> None:
        ttl = self.world.chance.choice(["forever", None, 0]) if asked.is_covered else 0
        ttl = "forever" if self.validate is False else ttl
        with self.world.source() as con, warnings.catch_warnings():
            warnings.simplefilter("ignore", ValidatorWarning)
            warnings.simplefilter("ignore", NotCachedWarning)
            result = self.cache.read(asked.sql, con, ttl=ttl, validate=self.validate)
            frame = result.frame
        truth = self.world.truth(asked.sql)
        counts = self.counts
        counts.reads += 1
        counts.hits += result.outcome is Outcome.HIT
        self._log.append(f"{result.outcome} ({result.reason}): {asked.sql}")
        if wrong := differences(truth, frame):
            counts.stale.append(f"{wrong[0]} after {'; '.join(self._log)}")
        if result.entry is None:
            return
        if result.entry.key in self._known:
            counts.unchanged += 1
            counts.needless += result.outcome is not Outcome.HIT
        self._known[result.entry.key] = asked


@contextmanager
def world_of(name: str, seed: int, url: str | None = None) -> Iterator[World]:
    """A world of its own, in a folder where a sync costs little."""
    with ExitStack() as stack:
        folder = folder_in_memory()
        stack.callback(shutil.rmtree, folder)
        more = {} if url is None else {"url": url}
        world = WORLDS[name](folder, random.Random(seed), **more)
        stack.callback(world.close)
        yield world
