"""DuckDB: a file, and another one behind a view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, create_engine

from tests.interleavings.world import FILLING, PLAIN, Deed, World, question


class Duckdb(World):
    """A DuckDB file, which one process at a time may have open; and a view over a CSV file."""

    name = "DuckDB"
    questions = (*PLAIN, question("select n from of_csv order by n", "csv", is_covered=False))

    @property
    def path(self) -> Path:
        return self.folder / "data.duckdb"

    @property
    def url(self) -> str:
        return f"duckdb:///{self.path}"

    def connected(self) -> Engine:
        if not self.path.exists():
            self.rewrite_csv()
            view = f"create view of_csv as select * from '{self.folder / 'n.csv'}'"
            self.other.run(self.url, *FILLING, view)
        return create_engine(self.url)

    def truth(self, sql: str) -> pd.DataFrame:
        engine = create_engine(self.url)
        try:
            return pd.read_sql(sql, engine)
        finally:
            engine.dispose()

    def elsewhere(self, *statements: str) -> None:
        self.engine.dispose()
        self.other.run(self.url, "begin", *statements, "commit")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete] * 2,
            *[
                self.delete_all,
                self.truncate,
                self.add_column,
                self.drop_column,
                self.make_table,
                self.roll_back,
            ],
            *[self.checkpoint, self.vacuum, self.restart, self.replace, self.rewrite_csv, self.nothing],
        ]

    def add_column(self) -> Sequence[str]:
        if not self.columns:  # DuckDB cannot alter what a view or an index depends on at will
            self.columns = 1
            self.run("alter table b add column c1 integer")
            return ["b"]
        return self.drop_column()

    def drop_column(self) -> Sequence[str]:
        if not self.columns:
            return []
        self.columns = 0
        self.run("alter table b drop column c1")
        return ["b"]

    def truncate(self) -> Sequence[str]:
        self.run("truncate b", f"insert into b (id, y) values (2, {self.next()})")
        return ["b"]

    def checkpoint(self) -> Sequence[str]:
        self.run_alone("checkpoint")
        return []

    def vacuum(self) -> Sequence[str]:
        self.run_alone("vacuum")
        return []

    def run_alone(self, statement: str) -> None:
        """Outside of a transaction, in one process or the other."""
        self.engine.dispose()
        self.other.run(self.url, statement)

    def restart(self) -> Sequence[str]:
        self.engine.dispose()
        return []

    def replace(self) -> Sequence[str]:
        self.engine.dispose()
        copy = self.folder / "copy.duckdb"
        copy.write_bytes(self.path.read_bytes())
        log = self.path.with_name("data.duckdb.wal")
        if log.exists():
            log.replace(copy.with_name("copy.duckdb.wal"))
        self.other.run(f"duckdb:///{copy}", f"update a set x = 'r{self.next()}' where id < 5", "checkpoint")
        copy.replace(self.path)
        return ["a"]

    def rewrite_csv(self) -> Sequence[str]:
        (self.folder / "n.csv").write_text(f"n\n{self.next()}\n", encoding="utf-8")
        return ["csv"]
