"""Facts about one stored result, as versioned JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from sqlcache_nb import strictly
from sqlcache_nb.lifetime import Lifetime, Until
from sqlcache_nb.parts import Item

_OWN = "parameters."

FORMAT = 2
"""Version of the JSON that an entry is kept as; an entry of another version is a miss."""


class AnotherVersion(ValueError):
    """What another version of this library wrote: neither ours to read nor damaged."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result came from; never changes once it was fetched.

    Args:
        key: full sha256 of the question, in hex.
        parts: digest of each named part of the key.
        kind: "string", "text" or "select".
        sql: the statement, without secrets.
        items: the values in these parts, by "part.name", each with a digest, and readable where that is wanted.
        source: the database's label, without secrets.
        dialect: SQLAlchemy's name of the dialect.
        tables: names that the statement reads, as far as it could be parsed; in database files and on PostgreSQL
            those behind its views, and there the partitions and parents of a table, too.
        fetched_at: when the fetch began, with a zone.
        elapsed: seconds that the fetch took.
        rows: number of rows.
        columns: number of columns, the index not counted.
        chunks: number of chunks, None for a single frame.
        versions: versions of the libraries that took part.
        opaque: whether it may read more tables than these, which nobody can name.
    """

    key: str
    parts: Mapping[str, str]
    kind: str
    sql: str
    items: Mapping[str, Item]
    source: str
    dialect: str
    tables: tuple[str, ...]
    fetched_at: datetime
    elapsed: float
    rows: int
    columns: int
    chunks: int | None
    versions: Mapping[str, str]
    opaque: bool = False

    @property
    def params(self) -> dict[str, str]:
        """The bound parameters' values for a person."""
        own = {name.removeprefix(_OWN): item for name, item in self.items.items() if name.startswith(_OWN)}
        return {name: item.text or "(not kept)" for name, item in own.items()}

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
        content: digest of the answer alone (`codec.content_of`): equal for the same answer, fetched twice; "" where
            it is not known.
        ttl: the time to live that it was stored with, None for the default.
        tokens: what validators said of the database before the fetch, by their names.
        exact: whether an equal token proves that the answer is the same.
        volatile: whether the statement asks for the time, or what the database knows of itself.
        zone: the time zone in which the statement asks for the date, None where it does not.
        day: the date there when it was fetched, as in ISO 8601.
        random: whether the answer was left to chance.
        directory: the working directory, where the statement may read files by relative paths.
        places: where the rows are, whoever asks for them (`SourceIdentity.places`), () where it is not known.
        validated_at: when a token last proved that it still is what the database would answer, with a zone.
        invalidated_at: when it was declared stale, with a zone; None as long as nobody has.
        name: a person's own word for the result.
        tags: a person's labels to list and clear by; `labels` are those and the tables.
        pinned: whether it is frozen: neither evicted nor stale until it is unpinned or fetched again.
    """

    provenance: Provenance
    checksum: str = ""
    bytes: int = 0
    ttl: Lifetime | None = None
    tokens: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False
    volatile: bool = False
    zone: str | None = None
    day: str | None = None
    random: bool = False
    directory: str | None = None
    places: tuple[str, ...] = ()
    validated_at: datetime | None = None
    invalidated_at: datetime | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    pinned: bool = False
    content: str = ""

    @property
    def key(self) -> str:
        """The key of the question that this answers."""
        return self.provenance.key

    @property
    def labels(self) -> tuple[str, ...]:
        """The tags, and `table:orders` for each table that the statement reads."""
        return labels_of(self.tags, self.provenance.tables)

    def has_label(self, label: str) -> bool:
        """Whether it is one of `labels`; a table's as `reads` compares them."""
        is_table = label.startswith(_TABLE) and self.reads(label.removeprefix(_TABLE))
        return is_table or label in self.tags

    def reads(self, table: str) -> bool:
        """Whether the statement names a table: neither case nor quotes nor a schema before it matter.

        A name that is quoted in one place is not always quoted in the other, and which schema a bare name
        means is the session's: so `Sales."Orders"` is the same as `orders`.

        Args:
            table: its name, as one may write it in SQL.
        """
        *_, last = _NAME.findall(table) or [table]
        wanted = {table.casefold(), last.strip(_QUOTES).casefold()}
        return any(name.casefold() in wanted for name in self.provenance.tables)

    def replacing(self, before: Entry, now: datetime) -> Entry:
        """This entry with what stays of an older one: name, tags, and the ttl if none was given.

        What was invalidated while this was fetched stays so: this may be as old. A pin held the older answer,
        and does not pass on to this one.

        Args:
            before: the older entry.
            now: the time, with a zone.
        """
        when = before.invalidated_at
        meanwhile = when is not None and self.provenance.fetched_at < when <= now
        return replace(
            self,
            ttl=before.ttl if self.ttl is None else self.ttl,
            invalidated_at=when if meanwhile else None,
            name=before.name,
            tags=before.tags,
        )

    def may_read(self, table: str) -> bool:
        """Whether a write to a table may change the answer.

        What names no table may read any, through a function or because it could not be parsed.

        Args:
            table: its name, as one may write it in SQL.
        """
        return self.provenance.opaque or not self.provenance.tables or self.reads(table)

    def labelled(self, name: str | None, tags: tuple[str, ...]) -> Entry:
        """This entry under a (new) name and with further tags."""
        merged = self.tags + tuple(tag for tag in tags if tag not in self.tags)
        if name in (None, self.name) and merged == self.tags:
            return self
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
            AnotherVersion: the text is an entry of another version.
            ValueError: it is none.
        """
        try:
            plain = strictly.loads(text)
            if type(version := plain.pop("format")) is not int:
                raise ValueError("not an entry: its format is no number")  # damaged text
            if version != FORMAT:
                raise AnotherVersion(f"an entry of format {version}")
            plain.pop("seal", None)  # a store's own word
            facts = plain.pop("provenance")
            facts["fetched_at"] = datetime.fromisoformat(facts["fetched_at"]).astimezone(UTC)
            facts["tables"] = _texts(facts["tables"])
            facts.setdefault("opaque", False)  # an entry from before views were seen through
            facts["items"] = _items(facts["items"])
            for name in ("invalidated_at", "validated_at"):
                if (moment := plain.get(name)) is not None:
                    plain[name] = datetime.fromisoformat(moment).astimezone(UTC)
            plain["places"] = _texts(plain["places"])
            plain["ttl"] = lifetime_of(plain["ttl"])
            if "token" in plain:  # an entry from when database files alone had a validator
                token = plain.pop("token")
                plain["tokens"] = {} if token is None else {"file": token}
            plain["tags"] = _texts(plain["tags"])
            plain.setdefault("pinned", False)  # an entry from before there were pins
            plain.setdefault("validated_at", None)  # or renewals
            plain.setdefault("content", "")  # an entry from before answers were compared
            entry = cls(provenance=Provenance(**facts), **plain)
            _texts([*facts["parts"].values(), *facts["versions"].values(), *plain["tokens"].values()])
            for values, (pick, types) in ((facts, _TYPES[Provenance]), (plain, _TYPES[Entry])):
                if not all(map(isinstance, found := pick(values), types)):
                    raise ValueError(f"not an entry: {found!r}")
        except (AttributeError, KeyError, OverflowError, TypeError) as fault:
            raise ValueError(f"not an entry: {fault}") from fault
        return entry


def lifetime_of(told: Any) -> Any:
    """The time to live that `Entry.to_json` wrote; what is none stays as it is.

    Args:
        told: what stands in the JSON.

    Raises:
        ValueError: another text.
    """
    if type(told) is not str:
        return told
    return math.inf if told == "forever" else Until(told)


def labels_of(tags: Iterable[str], tables: Iterable[str]) -> tuple[str, ...]:
    """What an entry can be listed and cleared by.

    Args:
        tags: a person's.
        tables: those that the statement reads.
    """
    return tuple(dict.fromkeys((*tags, *(_TABLE + table for table in tables))))


_TABLE = "table:"
_QUOTES = '"`[]'
_NAME = re.compile(r"""\"[^"]*"|`[^`]*`|\[[^]]*\]|[^.\s"`[]+""")
_NUMBER = (int, float)
_BY_NAME: dict[type, dict[str, Any]] = {
    Provenance: dict.fromkeys(("key", "kind", "sql", "source", "dialect"), str)
    | dict.fromkeys(("parts", "items", "versions"), dict)
    | {"elapsed": _NUMBER, "rows": int, "columns": int, "chunks": (int, type(None)), "opaque": bool},
    Entry: {
        "checksum": str,
        "bytes": int,
        "ttl": (*_NUMBER, Until, type(None)),
        "tokens": dict,
        "exact": bool,
        "volatile": bool,
        "zone": (str, type(None)),
        "day": (str, type(None)),
        "random": bool,
        "directory": (str, type(None)),
        "validated_at": (datetime, type(None)),
        "invalidated_at": (datetime, type(None)),
        "name": (str, type(None)),
        "pinned": bool,
        "content": str,
    },
}


# To be gone through at each hit, and for each entry of a list.
_TYPES = {each: (itemgetter(*types), tuple(types.values())) for each, types in _BY_NAME.items()}


def _texts(values: object) -> tuple[str, ...]:
    """A list of texts: a mere text is a row of texts, too, and is none of ours."""
    if type(values) is not list or not set(map(type, values)) <= _STR:
        raise TypeError(f"{values!r} is no list of texts")
    return tuple(values)


def _items(items: dict[str, Any]) -> dict[str, Item]:
    """The values in a key's parts, each three texts."""
    if not set(map(type, items.values())) <= {list}:
        raise TypeError("an item is no list of texts")
    _texts([text for texts in items.values() for text in texts])
    return {name: Item(*texts) for name, texts in items.items()}


_STR = {str}


def _plain(facts: Provenance | Entry) -> dict[str, Any]:
    """A dataclass's own fields as JSON's types, one level deep."""
    plain = {field.name: getattr(facts, field.name) for field in fields(facts)}
    for name, value in plain.items():
        if isinstance(value, datetime):
            plain[name] = value.astimezone(UTC).isoformat()
        elif isinstance(value, Mapping):
            plain[name] = dict(value)
    return plain
