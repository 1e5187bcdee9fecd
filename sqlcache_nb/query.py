"""What is asked: the statement as it will reach the driver, and all that shapes the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import SelectBase

from sqlcache_nb.errors import NotCacheable

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import BindParameter
    from sqlalchemy.types import TypeEngine


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
    """

    kind: str
    sql: str
    params: object = None
    positions: tuple[str, ...] = ()
    result_types: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)

    def parts(self) -> dict[str, object]:
        """The named parts that a key is made of."""
        return {
            "statement": [self.kind, self.sql],
            "parameters": [self.params, self.positions],
            "result types": list(self.result_types),
            "options": dict(self.options),
            "environment": dict(self.environment),
        }

    def readable_params(self) -> dict[str, str]:
        """The bound values for a person to read, each at most 200 characters long."""
        if self.params is None:
            return {}
        named: Any = self.params
        if not isinstance(named, Mapping):
            values = named if isinstance(named, list | tuple) else [named]
            named = {str(position): value for position, value in enumerate(values, 1)}
        return {str(name): _shortened(repr(value)) for name, value in named.items()}


def ask(
    sql: object,
    params: Any,
    *,
    dialect: Dialect | None,
    options: Mapping[str, object],
    environment: Mapping[str, object],
) -> Query:
    """The question that `sql` with `params` is.

    Args:
        sql: a string, `text()`, or a Core or ORM `select()`.
        params: as pandas takes them.
        dialect: a dialect that has never connected (one that has may render another text),
            or None for a connection that takes strings only.
        options: every read option that shapes the frame.
        environment: versions and settings that shape the frame.

    Raises:
        NotCacheable: the statement has no text that is sure to mean the same tomorrow.

    Example:
        >>> ask("select 1", None, dialect=None, options={}, environment={}).kind
        'string'
    """
    if type(sql) is str:
        return Query("string", sql, params, options=options, environment=environment)
    if dialect is None or not isinstance(sql, TextClause | SelectBase):
        raise NotCacheable(f"a statement of type {type(sql).__qualname__} is not one that can be cached")
    if not (params is None or isinstance(params, Mapping)):
        raise NotCacheable("several sets of parameters for one statement")
    try:
        compiled: Any = sql.compile(dialect=dialect)
        values = compiled.construct_params(params, escape_names=False)
    except SQLAlchemyError as fault:  # pandas will meet it, too, and raise it as it does
        raise NotCacheable(f"the statement does not compile: {type(fault).__name__}") from fault
    return Query(
        kind="text" if isinstance(sql, TextClause) else "select",
        sql=str(compiled),
        params=dict(_driver_values(compiled, values, dialect)),
        positions=tuple(compiled.positiontup or ()),
        result_types=tuple(_result_types(compiled, dialect)),
        options=options,
        environment=environment,
    )


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


def _result_types(compiled: Any, dialect: Dialect) -> Iterator[tuple[str, str]]:
    # The same SQL gives other Python values under another result type: they belong to the question.
    homes = ("sqlalchemy", type(dialect).__module__.partition(".")[0])
    for column in compiled._result_columns:  # noqa: SLF001  # in no public place
        for kind in _nested(column.type):
            if type(kind).__module__.partition(".")[0] not in homes:
                raise NotCacheable(
                    f"column {column.keyname} has a type of your own ({type(kind).__qualname__}), "
                    "whose code may change under the same name"
                )
        yield str(column.keyname), f"{type(column.type).__module__}.{column.type!r}"


def _nested(kind: TypeEngine[Any]) -> Iterator[TypeEngine[Any]]:
    yield kind
    for inner in (getattr(kind, "item_type", None), *getattr(kind, "types", ())):
        if inner is not None:
            yield from _nested(inner)


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"
