"""Facts about one stored result, as versioned JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

FORMAT = 2
"""Version of the JSON that an entry is kept as; an entry of another version is a miss."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result came from; never changes once it was fetched.

    Args:
        key: full sha256 of the question, in hex.
        parts: digest of each named part of the key.
        kind: "string", "text" or "select".
        sql: the statement, without secrets.
        params: readable values of the bound parameters.
        source: the database's label, without secrets.
        dialect: SQLAlchemy's name of the dialect.
        tables: names that the statement reads, as far as it could be parsed.
        fetched_at: when the fetch began, with a zone.
        elapsed: seconds that the fetch took.
        rows: number of rows.
        columns: number of columns, the index not counted.
        chunks: number of chunks, None for a single frame.
        versions: versions of the libraries that took part.
    """

    key: str
    parts: Mapping[str, str]
    kind: str
    sql: str
    params: Mapping[str, str]
    source: str
    dialect: str
    tables: tuple[str, ...]
    fetched_at: datetime
    elapsed: float
    rows: int
    columns: int
    chunks: int | None
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """The facts as one JSON object."""
        return json.dumps(_plain(self))


@dataclass(frozen=True, slots=True)
class Entry:
    """What the store keeps in its row beside the payload.

    Args:
        provenance: where the result came from.
        checksum: XXH3-128 of the whole payload, in hex; the store fills it in.
        bytes: size of the payload; the store fills it in.
        ttl: seconds for which it was stored as fresh, `math.inf` for ever, None for the default.
        token: the database's validator token, taken before the fetch.
        exact: whether an equal token proves that the answer is the same.
        volatile: whether the statement asks for the time.
        directory: the working directory, where the statement may read files by relative paths.
        name: a person's own word for the result.
        tags: labels to list and clear by.
    """

    provenance: Provenance
    checksum: str = ""
    bytes: int = 0
    ttl: float | None = None
    token: str | None = None
    exact: bool = False
    volatile: bool = False
    directory: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of the question that this answers."""
        return self.provenance.key

    def labelled(self, name: str | None, tags: tuple[str, ...]) -> Entry:
        """This entry under a (new) name and with further tags."""
        merged = self.tags + tuple(tag for tag in tags if tag not in self.tags)
        return replace(self, name=name if name is not None else self.name, tags=merged)

    def to_json(self) -> str:
        """The facts as one JSON object, with the format's version."""
        plain = _plain(self) | {"format": FORMAT}
        plain["ttl"] = "forever" if self.ttl == math.inf else self.ttl
        plain["provenance"] = _plain(self.provenance)
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """The entry that `to_json` wrote.

        Raises:
            ValueError: the text is not an entry of this version.
        """
        try:
            plain = json.loads(text)
            if plain.pop("format") != FORMAT:
                raise ValueError("an entry of another format version")
            facts = plain.pop("provenance")
            facts["fetched_at"] = datetime.fromisoformat(facts["fetched_at"]).astimezone(UTC)
            facts["tables"] = tuple(facts["tables"])
            plain["ttl"] = math.inf if plain["ttl"] == "forever" else plain["ttl"]
            plain["tags"] = tuple(plain["tags"])
            entry = cls(provenance=Provenance(**facts), **plain)
        except (AttributeError, KeyError, OverflowError, TypeError, RecursionError) as fault:
            raise ValueError(f"not an entry: {fault}") from fault
        for record in (entry.provenance, entry):
            for name, expected in _TYPES[type(record)].items():
                if not isinstance(value := getattr(record, name), expected):
                    raise ValueError(f"not an entry: {name} is {value!r}")  # noqa: TRY004  # damaged text
        if not all(isinstance(label, str) for label in (*entry.tags, *entry.provenance.tables)):
            raise ValueError("not an entry: a tag or table is no text")
        return entry


_NUMBER = (int, float)
_TYPES: dict[type, dict[str, Any]] = {
    Provenance: dict.fromkeys(("key", "kind", "sql", "source", "dialect"), str)
    | dict.fromkeys(("parts", "params", "versions"), dict)
    | {"elapsed": _NUMBER, "rows": int, "columns": int, "chunks": (int, type(None))},
    Entry: {
        "checksum": str,
        "bytes": int,
        "ttl": (*_NUMBER, type(None)),
        "token": (str, type(None)),
        "exact": bool,
        "volatile": bool,
        "directory": (str, type(None)),
        "name": (str, type(None)),
    },
}


def _plain(facts: Provenance | Entry) -> dict[str, Any]:
    """A dataclass's own fields as JSON's types, one level deep."""
    plain = {field.name: getattr(facts, field.name) for field in fields(facts)}
    for name, value in plain.items():
        if isinstance(value, datetime):
            plain[name] = value.astimezone(UTC).isoformat()
        elif isinstance(value, Mapping):
            plain[name] = dict(value)
    return plain
