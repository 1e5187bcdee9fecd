"""A question put to an identified database, and what is known of it before and after it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlcache_nb import guard
from sqlcache_nb.behind import seen_through
from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.environment import environment, versions
from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.freshness import Strength, Token, day_in, is_zone
from sqlcache_nb.identity import SourceIdentity, working_directory
from sqlcache_nb.key import Key
from sqlcache_nb.parts import Asked, address_item, items_of
from sqlcache_nb.policy import Validate
from sqlcache_nb.query import Query, ask
from sqlcache_nb.redaction import redact
from sqlcache_nb.request import PandasCall
from sqlcache_nb.sources import Source
from sqlcache_nb.validators import Probe, Validator, chosen
from sqlcache_nb.words import asks_for_the_time
from sqlcache_nb.writes import touched_tables


@dataclass(frozen=True, slots=True)
class Question:
    """A query put to an identified database, of which a validator may have had its say before."""

    key: Key
    parts: Mapping[str, object]
    query: Query
    validation: Validation
    identity: SourceIdentity
    source_name: str | None
    address: Callable[[], SourceIdentity | None] = field(default=lambda: None, compare=False)
    """What the connection itself tells of where it leads."""

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name of the dialect."""
        return self.identity.dialect

    @property
    def label(self) -> str:
        """The database for a person, without secrets."""
        return redact(self.source_name) if self.source_name else self.identity.label

    def asked(self, *, store_params: bool) -> Asked:
        """The question as far as it is kept with its answer.

        Args:
            store_params: whether the values of parameters may be read, and not only compared.
        """
        items = items_of(self.parts, self.query.given, store_params=store_params)
        items |= address_item(parts_of(self.address(), self.source_name))
        return Asked(self.query.kind, redact(self.query.shown), self.key.parts, items)


class Validation:
    """What validators say of a database before it is asked.

    The token of a database file costs nothing, and is taken also where another validator has the say: whoever asks
    by it later shall find one.

    Args:
        validate: which validator has the say.
        source: the connection that would answer.
        identity: which database that is.

    Raises:
        ConfigError: no such validator.
    """

    def __init__(self, validate: Validate, source: Source, identity: SourceIdentity) -> None:
        self._source = source
        self._identity = identity
        self.validator = chosen(validate, source.dialect_name)
        self.fault: Exception | None = None
        """Why the validator did not answer."""
        by_file = chosen("auto", source.dialect_name)
        first = {each.name: each for each in (by_file, self.validator) if each is not None}
        self._taken = {name: self._take(each) for name, each in first.items() if not each.wants_tables}

    @property
    def name(self) -> str | None:
        """The name of the validator that has the say, None where none has."""
        return None if self.validator is None else self.validator.name

    def token(self, tables: tuple[str, ...]) -> Token | None:
        """What the validator that has the say tells, None where none has or it cannot.

        Args:
            tables: the names that the question reads, () where they are not all known.
        """
        if self.validator is None:
            return None
        if not self.validator.wants_tables:
            return self._taken[self.validator.name]
        return self._take(self.validator, tables) if tables else None

    def tokens(self, tables: tuple[str, ...]) -> dict[str, str]:
        """What is to be stored with the answer: each validator's token, those left out that cannot tell.

        Args:
            tables: as for `token`.
        """
        told = (*self._taken.values(), self.token(tables))
        return {token.validator: token.value for token in told if token is not None and token.value}

    def _take(self, validator: Validator, tables: tuple[str, ...] = ()) -> Token | None:
        probe = Probe(self._identity, self._execute, tables)
        value: str | None = ""
        try:
            value = _text_or_none(validator.token(probe))
        except Exception as fault:  # noqa: BLE001  # a driver's, or of code that others have installed; it is said
            self.fault, value = fault, ""
        return None if value is None else Token(validator.name, Strength(validator.strength), value)

    def _execute(self, sql: str) -> list[Any]:
        return self._source.ask(lambda execute: list(execute(sql)))


def _text_or_none(value: object) -> str | None:
    """What a validator gave.

    Raises:
        TypeError: it is no token.
    """
    if not (value is None or isinstance(value, str)):
        raise TypeError(f"its token is no text, but {type(value).__name__}")
    return value


def tables_read(told: guard.Facts | Provenance) -> tuple[str, ...]:
    """The names that a statement reads, () where it may read others as well.

    Args:
        told: what is known of it.
    """
    return () if told.opaque else told.tables


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database gave: a frame, or an iterator of chunks; and why it may be the session's own."""

    frame: Any
    fetched_at: datetime
    elapsed: float
    doubt: NotCacheable | None = None


def question_of(
    call: PandasCall, source: Source, source_name: str | None, validate: Validate = False
) -> Question:
    """The question, and what a validator says of the database before any fetch.

    Args:
        call: what is given to pandas.
        source: where.
        source_name: a person's own word for that.
        validate: which validator has a say.

    Raises:
        NotCacheable: the question, or the database, cannot be told from another one.
    """
    identity = source.identify()
    query = ask(
        call.sql,
        call.params,
        dialect=source.dialect,
        options=call.options(),
        environment=environment(),
        execution_options=source.execution_options(),
        adapt=source.adapt,
    )
    parts = {**query.parts(), "source": identity.named(source_name).parts()}
    return Question(
        key=Key.of(parts),
        parts=parts,
        query=query,
        validation=Validation(validate, source, identity),
        identity=identity,
        source_name=source_name,
        address=source.address,
    )


def parts_of(identity: SourceIdentity | None, source_name: str | None) -> Mapping[str, object] | None:
    """What goes into a key of an identity, under the caller's own name of it; None of none."""
    return None if identity is None else identity.named(source_name).parts()


def examine(question: Question, source: Source, *, store_random: bool = False) -> guard.Facts:
    """What the statement does.

    Args:
        question: what is asked.
        source: where.
        store_random: whether an answer may be kept that is left to chance.

    Raises:
        NotCacheable: its answer must not be kept.
    """
    query, schema = question.query, source.schema()
    facts = guard.examine(query.sql, question.dialect, schema)
    if query.kind == "string" and not facts.tables and source.has_table(query.sql):
        facts = guard.examine(_select_of(query.sql, source), question.dialect, schema)
    _check(facts, store_random=store_random)
    facts = seen_through(facts, source.behind, question.dialect)
    _check(facts, store_random=store_random)
    volatile, zone = facts.volatile or asks_for_the_time(question.query.params), None
    if facts.daily:
        zone = source.zone()
        if not is_zone(zone):  # the date there is then no better than the time
            volatile, zone = True, None
    source.hold()
    return replace(facts, volatile=volatile, zone=zone)


def _check(facts: guard.Facts, *, store_random: bool) -> None:
    if facts.refusal:
        raise NotCacheable(facts.refusal)
    if facts.chance and not store_random:
        raise NotCacheable(f"{facts.chance}; store_random=True (--store-random) keeps it all the same")


def _select_of(table: str, source: Source) -> str:
    """What pandas reads for the name of a table, with blanks and dashes and all; to be looked at, not to be run."""
    dialect: Any = source.dialect
    return f"SELECT * FROM {dialect.identifier_preparer.quote_identifier(table)}"  # noqa: S608  # as said


def write_of(call: PandasCall, source: Source) -> tuple[str, str, tuple[str, ...]]:
    """A write that went through pandas: its SQL, the dialect's name, and where it was written.

    Nowhere, where it is no write; and where it cannot be told what it touches: procedures that only read
    are often called this way. It is not known yet whether its owner commits it.
    """
    sql, dialect = call.sql, source.dialect_name
    if not isinstance(sql, str):
        sql = str(sql.compile(dialect=source.dialect))
    may_write = guard.kind_of(sql, dialect) in {guard.Kind.WRITE, guard.Kind.SEVERAL}
    return sql, dialect, source.places() if may_write and touched_tables(sql, dialect) else ()


def provenance_of(
    question: Question,
    asked: Asked,
    facts: guard.Facts,
    answer: Answer,
    shape: tuple[int, int],
    chunks: int | None = None,
) -> Provenance:
    """Where the answer came from, for its entry and its file.

    Args:
        question: what was asked.
        asked: as much of it as is kept.
        facts: what its statement does.
        answer: when it came, and how long that took.
        shape: rows and columns, of all chunks together.
        chunks: how many, None for a single frame.
    """
    return Provenance(
        key=question.key.digest,
        parts=asked.parts,
        kind=asked.kind,
        sql=asked.sql,
        items=asked.items,
        source=question.label,
        dialect=question.dialect,
        tables=facts.tables,
        fetched_at=answer.fetched_at,
        elapsed=answer.elapsed,
        rows=shape[0],
        columns=shape[1],
        chunks=chunks,
        versions=versions(),
        opaque=facts.opaque,
    )


def entry_of(
    question: Question, facts: guard.Facts, provenance: Provenance, tokens: Mapping[str, str]
) -> Entry:
    """The entry of an answer, with what its freshness depends on.

    Args:
        question: what was asked.
        facts: what its statement does.
        provenance: where the answer came from.
        tokens: what validators said before the fetch, by their names.
    """
    return Entry(
        provenance,
        tokens=tokens,
        exact=facts.covered and not (facts.volatile or facts.chance),
        volatile=facts.volatile,
        zone=facts.zone,
        day=day_in(facts.zone, provenance.fetched_at),
        random=bool(facts.chance),
        directory=None if facts.covered or question.dialect != "duckdb" else working_directory(),
        places=question.identity.places,
    )
