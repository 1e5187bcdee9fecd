"""What is asked: the statement as it will reach the driver, and all that shapes the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import TypeEngine

from sqlcache_nb.errors import NotCacheable

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import BindParameter


@dataclass(frozen=True, slots=True)
class Query:
    """One question, without the database that it is put to.

    Args:
        kind: "string" (goes to the driver as it stands, or names a table), "text" or "select".
        sql: the text that the driver gets.
        params: the bound values, as the driver gets them.
        positions: the parameters' names in the order of a text that has only placeholders: without
            it `:a, :b` and `:b, :a` would both be `?, ?`.
        result_types: for Core and ORM statements, the type that makes each column's Python values.
        options: every read option that shapes the frame.
        environment: versions and settings that shape the frame.
        typed: the text as a person wrote it, where that is known.
        given: the bound values before the driver's adapters, which a person knows better.
    """

    kind: str
    sql: str
    params: object = None
    positions: tuple[str, ...] = ()
    result_types: tuple[tuple[str, object], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    typed: str | None = None
    given: object = None

    @property
    def shown(self) -> str:
        """The text for a person to read."""
        return self.typed or re.sub(r"__\[POSTCOMPILE_(\w+)\]", r"(:\1)", self.sql)

    def parts(self) -> dict[str, object]:
        """The named parts that a key is made of."""
        return {
            "statement": [self.kind, self.sql],
            "parameters": [self.params, self.positions],
            "result types": list(self.result_types),
            "options": dict(self.options),
            "environment": dict(self.environment),
        }


def ask(
    sql: object,
    params: Any,
    *,
    dialect: Dialect | None,
    options: Mapping[str, object],
    environment: Mapping[str, object],
    execution_options: Mapping[str, object] | None = None,
    adapt: Callable[[object], object] | None = None,
) -> Query:
    """The question that `sql` with `params` is.

    Args:
        sql: a string, `text()`, or a Core or ORM `select()`.
        params: as pandas takes them.
        dialect: a dialect that has never connected (one that has may render another text),
            or None for a connection that takes strings only.
        options: every read option that shapes the frame.
        environment: versions and settings that shape the frame.
        execution_options: those of the connection; the statement's own win over them.
        adapt: what the driver makes of a bound value by adapters that anybody may register.

    Raises:
        NotCacheable: the statement has no text that is sure to mean the same tomorrow.

    Example:
        >>> ask("select 1", None, dialect=None, options={}, environment={}).kind
        'string'
    """
    execution = dict(execution_options or {})
    if type(sql) is str:
        told = {**options, "execution": _meaningful(execution)}
        adapted = _adapted(params, adapt)
        return Query("string", sql, adapted, options=told, environment=environment, given=params)
    if dialect is None or not isinstance(sql, TextClause | SelectBase):
        raise NotCacheable(f"a statement of type {type(sql).__qualname__} is not one that can be cached")
    if not (params is None or isinstance(params, Mapping)):
        raise NotCacheable("several sets of parameters for one statement")
    try:
        statement: Any = sql  # every kind of it takes execution options, which its types do not say
        compiled: Any = sql.compile(dialect=dialect)
        values = compiled.construct_params(params, escape_names=False)
    except SQLAlchemyError as fault:  # pandas will meet it, too, and raise it as it does
        raise NotCacheable(f"the statement does not compile: {type(fault).__name__}") from fault
    given = dict(_driver_values(compiled, values, dialect))
    return Query(
        kind="text" if isinstance(sql, TextClause) else "select",
        sql=str(compiled),
        params=_adapted(given, adapt),
        positions=tuple(compiled.positiontup or ()),
        result_types=tuple(_result_types(compiled, dialect)),
        options={**options, "execution": _meaningful(execution | dict(statement.get_execution_options()))},
        environment=environment,
        typed=sql.text.replace("\\:", ":") if isinstance(sql, TextClause) else None,
        given=given,
    )


# How a statement is run, and not what it answers.
_HARMLESS_EXECUTION = frozenset(
    """autocommit autoflush compiled_cache isolation_level logging_token max_row_buffer populate_existing
    preserve_rowcount stream_results yield_per""".split()
)


def _meaningful(execution_options: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value
        for name, value in execution_options.items()
        if name not in _HARMLESS_EXECUTION and not name.startswith("_")
    }


def _adapted(params: Any, adapt: Callable[[object], object] | None) -> Any:
    """The bound values, one or two levels deep, as the driver will have them."""
    if adapt is None or params is None:
        return params
    if isinstance(params, Mapping):
        return {name: _adapted_one(value, adapt) for name, value in params.items()}
    return _adapted_one(params, adapt)


def _adapted_one(value: Any, adapt: Callable[[object], object]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(adapt(item) for item in value)
    return adapt(value)


def _driver_values(
    compiled: SQLCompiler, values: Mapping[str, Any], dialect: Dialect
) -> Iterator[tuple[str, Any]]:
    """Each bound value after its type's bind processor: what the driver will get."""
    for bind, name in compiled.bind_names.items():
        if bind.callable is not None:
            raise NotCacheable(f"the value of :{name} is made by a function at each look")
        yield name, _processed(bind, values[name], dialect)


def _processed(bind: BindParameter[Any], value: Any, dialect: Dialect) -> Any:
    processor = bind.type.dialect_impl(dialect).bind_processor(dialect)
    if processor is None or (value is None and not bind.expanding):
        return value
    try:
        if bind.expanding:
            return [processor(item) for item in value]
        return processor(value)
    except Exception as fault:  # foreign code; pandas will meet the same fault and raise it
        raise NotCacheable(f"the value of :{bind.key} cannot be bound") from fault


def _result_types(compiled: Any, dialect: Dialect) -> Iterator[tuple[str, object]]:
    # The same SQL gives other Python values under another result type: they belong to the question.
    homes = ("sqlalchemy", type(dialect).__module__.partition(".")[0])
    for column in compiled._result_columns:  # noqa: SLF001  # in no public place
        try:
            # Both: a variant is another type for this dialect, a decorator is hidden behind its own.
            kinds = [_described(kind, homes) for kind in (column.type, column.type.dialect_impl(dialect))]
        except NotCacheable as refusal:
            raise NotCacheable(f"column {column.keyname} has a type {refusal}") from None
        yield str(column.keyname), kinds


def _described(kind: TypeEngine[Any], homes: tuple[str, ...]) -> object:
    """A type's class, and the arguments that it was made with."""
    home = type(kind)
    if home.__module__.partition(".")[0] not in homes:
        raise NotCacheable(f"of your own ({home.__qualname__}), whose code may change under the same name")
    names = {name for base in home.__mro__ for name in _constructor_arguments(base)}
    return [
        f"{home.__module__}.{home.__qualname__}",
        {
            name: _described(value, homes) if isinstance(value, TypeEngine) else value
            for name, value in vars(kind).items()
            if name in names - _NO_ARGUMENTS
        },
    ]


# Beside the constructors' own names: where Enum and SQLite's dates keep their arguments.
_KEPT_ELSEWHERE = ("enums", "enum_class", "_storage_format", "_reg")
_NO_ARGUMENTS = frozenset({"metadata", "_variant_mapping"})


@cache
def _constructor_arguments(kind: type) -> tuple[str, ...]:
    try:
        return (*signature(kind.__init__).parameters, *_KEPT_ELSEWHERE)  # type: ignore[misc]  # of a class
    except ValueError:  # built in, without a signature
        return _KEPT_ELSEWHERE
