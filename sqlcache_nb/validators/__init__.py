"""Who can tell whether a database has changed: validators, ours and those of others.

A validator gives a token that is equal as long as nothing was written. It is taken before the fetch and stored with the
answer; an equal one proves later that the answer still is what the database would give. "Cannot tell" is None, and never
"unchanged". Others add theirs by an entry point of the group `sqlcache_nb.validators`, whose object is a `Validator`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol

from sqlcache_nb.errors import ConfigError, ValidatorWarning, warn
from sqlcache_nb.freshness import Strength
from sqlcache_nb.identity import FILE_DIALECTS, SourceIdentity
from sqlcache_nb.policy import Validate
from sqlcache_nb.redaction import first_line, redact

__all__ = ["Probe", "Validator", "chosen"]

GROUP = "sqlcache_nb.validators"
"""The group of entry points by which others add validators."""

_NAME = re.compile(r"[\w.-]+")
# Loaded at first use: most reads need none but that of files.
_OWN = {
    "sqlite": ("files", "FileValidator"),
    "duckdb": ("files", "FileValidator"),
    "postgresql": ("postgresql", "SnapshotValidator"),
    "mysql": ("mysql", "UpdateTimeValidator"),
    "mariadb": ("mysql", "UpdateTimeValidator"),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What a validator may go by.

    Args:
        identity: which database is asked.
        execute: runs one statement on the connection that answers the question, and gives its rows.
        tables: the names that the question reads, as they are written and those behind them; () where the
            validator does not want them.
    """

    identity: SourceIdentity
    execute: Callable[[str], list[Any]]
    tables: tuple[str, ...] = ()


class Validator(Protocol):
    """Tells whether a database has changed.

    A third party's is the object, without arguments to be made with, that its entry point names.
    """

    name: str
    """Stored with each token: a token is compared with one of the same name alone."""

    strength: Strength
    """What its word is worth."""

    dialects: frozenset[str]
    """SQLAlchemy's names of the dialects that it knows."""

    wants_tables: bool
    """Whether it goes by the tables that a question reads."""

    def token(self, probe: Probe) -> str | None:
        """The state of the database as it is now; None where it cannot tell, "" where it may be changing right now.

        Without a word the ttl decides; a "" is no proof, so the database itself is asked.

        Args:
            probe: what it may go by.

        Raises:
            Exception: whatever the driver raises: the question is then asked of the database itself.
        """


def chosen(validate: Validate, dialect: str) -> Validator | None:
    """The validator that has a say; None where none has.

    Args:
        validate: as in `Policy`.
        dialect: SQLAlchemy's name of the dialect that is asked.

    Raises:
        ConfigError: no validator of that name is installed, or SQL that does more than tell.

    Example:
        >>> chosen("auto", "sqlite").name, chosen("auto", "postgresql")
        ('file', None)
    """
    if validate is False or (validate == "auto" and dialect not in FILE_DIALECTS):
        return None
    if isinstance(validate, str) and validate != "auto":
        if _NAME.fullmatch(validate):
            named = _named(validate)
            return named if dialect in named.dialects else None
        from sqlcache_nb.validators.own import validator_of

        return validator_of(validate, dialect)
    if dialect in _OWN:
        return _own(dialect)
    return next((each for each in _others().values() if dialect in each.dialects), None)


def _named(name: str) -> Validator:
    known = {each.name: each for each in map(_own, _OWN)} | dict(_others())
    if name not in known:
        raise ConfigError(
            f"validate={name!r}: no validator of that name is installed (there are {', '.join(sorted(known))}); "
            'give "auto", True, False, the name of a validator, or a query of your own'
        )
    return known[name]


@cache
def _own(dialect: str) -> Validator:
    module, name = _OWN[dialect]
    made: Validator = getattr(import_module(f"{__name__}.{module}"), name)()
    return made


@cache
def _others() -> Mapping[str, Validator]:
    """The validators that others have installed, by their names; those that are none are said, and left out."""
    found: dict[str, Validator] = {}
    doubts = []
    for point in entry_points(group=GROUP):
        try:
            each = point.load()
            each = each() if isinstance(each, type) else each
            if (doubt := _doubt(each, found)) is None:
                found[each.name] = each
        except Exception as fault:  # noqa: BLE001  # anybody's code
            doubt = first_line(fault)
        if doubt is not None:
            doubts.append(f"the validator {point.name} that is installed cannot be used ({redact(doubt)})")
    for doubt in doubts:
        warn(doubt, ValidatorWarning)
    return found


def _doubt(each: Any, others: Collection[str]) -> str | None:
    """Why an object that others have installed is no validator; None if it is one."""
    if not (isinstance(each.name, str) and _NAME.fullmatch(each.name)):
        return f"its name is {each.name!r}"
    if each.name in others or each.name in {own.name for own in map(_own, _OWN)}:
        return f"another one is called {each.name}, too"
    if not isinstance(each.dialects, AbstractSet) or not all(
        isinstance(dialect, str) for dialect in each.dialects
    ):
        return "its dialects are no set of names"
    if each.strength not in set(Strength):
        return f"its strength is {each.strength!r}"
    if not isinstance(each.wants_tables, bool):
        return "its wants_tables is neither True nor False"
    return None if callable(each.token) else "its token is no function"
