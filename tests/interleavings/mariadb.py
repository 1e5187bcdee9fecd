"""MariaDB: tables that are told of once they have come to rest."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.pool import NullPool

from tests.interleavings.world import FILLING, PLAIN, Deed, World


class Mariadb(World):
    """A MariaDB database of its own; its validator says something only of tables that have come to rest."""

    name = "MariaDB"
    validate = True
    questions = tuple(replace(each, is_covered=False) for each in PLAIN[:4])

    def __init__(self, folder: Path, chance: random.Random, url: str) -> None:
        self.url = make_url(url).set(database="interleaved").render_as_string(hide_password=False)
        self.server = url
        self.truths = create_engine(self.url, poolclass=NullPool)
        super().__init__(folder, chance)

    def connected(self) -> Engine:
        self.other.run(self.server, "create or replace database interleaved character set utf8mb4")
        self.other.run(self.url, *FILLING)
        return create_engine(self.url)

    def truth(self, sql: str) -> pd.DataFrame:
        return pd.read_sql(sql, self.truths)

    def elsewhere(self, *statements: str) -> None:
        self.other.run(self.url, "begin", *statements, "commit", held="writer")

    def deeds(self) -> Sequence[Deed]:
        return [
            *[self.insert, self.update, self.update_of_another, self.delete, self.roll_back, self.rest],
            *[self.delete_all, self.truncate, self.add_column, self.drop_column, self.make_table, self.rest],
        ]

    def truncate(self) -> Sequence[str]:
        self.run("truncate b")
        return ["b"]

    def rest(self) -> Sequence[str]:
        """Until what was written is as old as the validator wants it, by the server's own clock."""
        self.other.run(self.url, "do sleep(3.1)", held="writer")
        return []

    def close(self) -> None:
        self.truths.dispose()
        super().close()
