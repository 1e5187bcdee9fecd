"""SQLite: files, replaced and written to from all sides."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from tests.interleavings.world import FILLING, PLAIN, Deed, World


class Sqlite(World):
    """A SQLite file with a rollback journal."""

    name = "SQLite, rollback journal"
    journal = "delete"
    questions = PLAIN

    @property
    def path(self) -> Path:
        return self.folder / "data.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def connected(self) -> Engine:
        if not self.path.exists():
            with closing(sqlite3.connect(self.path)) as con:
                con.execute(f"pragma journal_mode = {self.journal}")
                for statement in FILLING:
                    con.execute(statement)
                con.commit()
        self.raw = sqlite3.connect(self.path)
        return create_engine(self.url, poolclass=self.chance.choice([NullPool, None]))

    @contextmanager
    def source(self) -> Iterator[Any]:
        match self.chance.randrange(4):
            case 0:
                yield self.raw
            case 1:
                yield self.url
            case _:
                with super().source() as con:
                    yield con

    def truth(self, sql: str) -> pd.DataFrame:
        with closing(sqlite3.connect(self.path)) as con:
            return pd.read_sql(sql, con)

    def elsewhere(self, *statements: str) -> None:
        self.other.run(self.url, "begin", *statements, "commit")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete] * 2,
            *[
                self.delete_all,
                self.add_column,
                self.drop_column,
                self.make_table,
                self.roll_back,
                self.nothing,
            ],
            *[self.checkpoint, self.vacuum, self.analyze, self.replace, self.restart, self.write_raw],
            self.many_at_once,
        ]

    def checkpoint(self) -> Sequence[str]:
        how = self.chance.choice(["passive", "full", "restart", "truncate"])
        self.other.run(self.url, f"pragma wal_checkpoint({how})")
        return []

    def vacuum(self) -> Sequence[str]:
        self.other.run(self.url, "vacuum")
        return []

    def analyze(self) -> Sequence[str]:
        self.run("analyze")
        return []

    def write_raw(self) -> Sequence[str]:
        with self.raw:
            self.raw.execute(f"update b set y = {self.next()} where id = 1")
        return ["b"]

    def many_at_once(self) -> Sequence[str]:
        """Within one tick of the kernel's clock, and the same size."""
        with closing(sqlite3.connect(self.path)) as con:
            for _ in range(3):
                with con:
                    con.execute(f"update a set x = 'm{self.next() % 90 + 10}' where id = 1")
        return ["a"]

    def restart(self) -> Sequence[str]:
        self.engine.dispose()
        self.raw.close()
        self.engine = self.connected()
        return []

    def replace(self) -> Sequence[str]:
        """A copy with other rows, under the same name."""
        self.engine.dispose()
        self.raw.close()
        copy = self.folder / "copy.db"
        with closing(sqlite3.connect(self.path)) as con, closing(sqlite3.connect(copy)) as new:
            con.backup(new)
            with new:
                new.execute(f"update a set x = 'r{self.next()}' where id < 5")
        copy.replace(self.path)
        self.engine = self.connected()
        return ["a"]

    def close(self) -> None:
        super().close()
        self.raw.close()


class SqliteWal(Sqlite):
    """A SQLite file with a write-ahead log."""

    name = "SQLite, WAL"
    journal = "wal"
