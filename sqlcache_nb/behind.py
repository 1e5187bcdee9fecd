"""What a statement does together with what stands behind its names on a server: views, policies, functions, partitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.guard import Facts, Kind, examine_code
from sqlcache_nb.schema import Behind, Function, Name
from sqlcache_nb.words import is_catalog

_DEPTH = 16
"""How often code may name code that the server knows as text alone, before it is refused."""

_COMPILED = frozenset({"c", "internal"})


def seen_through(facts: Facts, ask: Callable[[frozenset[Name]], Behind | None], dialect: str) -> Facts:
    """The facts of a statement together with those of everything behind its names.

    Once for a statement, and once more where the text of a function brings new names.

    Args:
        facts: what the statement itself does.
        ask: asks the server's catalog; None where it is not asked.
        dialect: SQLAlchemy's name of the dialect.

    Raises:
        NotCacheable: functions call others without end.
    """
    asked: frozenset[Name] = frozenset()
    for _ in range(_DEPTH):
        new = facts.names - asked
        if not new:
            return facts
        behind = ask(new)
        if behind is None:
            return replace(facts, covered=False)
        asked |= new
        facts = _together(facts, behind, dialect)
    raise NotCacheable("the statement calls functions that call others, too many to look at")


def _together(facts: Facts, behind: Behind, dialect: str) -> Facts:
    for definition in behind.definitions:
        # What it reads, the server has told. What cannot be parsed is judged by its words.
        view = replace(examine_code(definition, dialect, is_sql=True), opaque=False, names=frozenset())
        facts = _merged(facts, view, "a view")
    for function in behind.functions:
        facts = _merged(facts, _examined(function, dialect), function.name)
    if behind.elsewhere:
        facts = replace(facts, covered=False)
    if behind.tables is None:
        return replace(facts, opaque=True)
    return replace(facts, tables=_united(facts.tables, behind.tables))


def _examined(function: Function, dialect: str) -> Facts:
    """What a function does, as far as it can be read."""
    if function.language in _COMPILED:
        volatile = function.volatility == "v"
        is_known = is_catalog(function.name)  # pg_stat_statements is one
        told = f"the statement calls {function.name}, whose code cannot be read and may answer otherwise each time"
        facts = Facts(
            Kind.QUERY,
            volatile=volatile and is_known,
            covered=function.volatility == "i",
            chance=told if volatile and not is_known else "",
            opaque=function.volatility != "i",
        )
    else:
        is_sql = function.language == "sql" and not function.is_parsed
        facts = examine_code(function.body, dialect, is_sql=is_sql)
    if function.is_parsed:
        facts = replace(facts, opaque=False, names=frozenset())
    elif facts.opaque:
        facts = replace(facts, covered=False)
    if function.defaults:
        defaults = examine_code(function.defaults, dialect, is_sql=False)
        facts = _merged(facts, replace(defaults, opaque=False), function.name)
    return facts


def _merged(facts: Facts, behind: Facts, name: str) -> Facts:
    """The facts of a statement with those of one piece of code behind it."""
    writes = f"the statement calls {name}, which does more than read" if behind.kind is Kind.WRITE else ""
    return replace(
        facts,
        tables=_united(facts.tables, behind.tables),
        volatile=facts.volatile or behind.volatile,
        daily=facts.daily or behind.daily,
        covered=facts.covered and behind.covered,
        chance=facts.chance or behind.chance,
        refusal=facts.refusal or behind.refusal or writes,
        opaque=facts.opaque or behind.opaque,
        names=facts.names | behind.names,
    )


def _united(tables: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    """The tables of a statement, and those that it does not name itself in whatever case."""
    known = {table.casefold() for table in tables}
    return tables + tuple(table for table in further if table.casefold() not in known)
