"""What the names in a database file stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Schema:
    """What the names in a database file stand for.

    Args:
        tables: plain tables of the file, in lower case.
        definitions: SQL behind views and macros, by name in lower case; "" for what cannot be seen
            through (a virtual table, a function written in Python).
    """

    tables: frozenset[str] = frozenset()
    definitions: Mapping[str, str] = field(default_factory=dict)
