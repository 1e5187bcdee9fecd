"""What is asked: the statement as it will reach the driver, and all that shapes the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import signature
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine.interfaces import BindTyping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.lambdas import StatementLambdaElement
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import LargeBinary, TupleType, TypeEngine

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
        beside: what the text does not tell: how values are written into it when it is run, and whether
            result types go by the columns' names or places.
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
    beside: tuple[object, ...] = ()

    @property
    def shown(self) -> str:
        """The text for a person to read."""
        return self.typed or re.sub(r"__\[POSTCOMPILE_(\w+)\]", r"(:\1)", self.sql)

    def parts(self) -> dict[str, object]:
        """The named parts that a key is made of."""
        return {
            "statement": [self.kind, self.sql, *self.beside],
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
        sql: a string, `text()`, a Core or ORM `select()`, or a `lambda_stmt()` of one.
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
    if isinstance(sql, StatementLambdaElement):
        sql = sql._resolved  # noqa: SLF001  # the statement with the values that its closure has now
    if dialect is None or not isinstance(sql, TextClause | SelectBase):
        raise NotCacheable(f"a statement of type {type(sql).__qualname__} is not one that can be cached")
    if not (params is None or isinstance(params, Mapping)):
        raise NotCacheable("several sets of parameters for one statement")
    try:
        statement: Any = sql  # every kind of it takes execution options, which its types do not say
        compiled: Any = sql.compile(dialect=dialect)
        _check_values(compiled, params or {})
        values = compiled.construct_params(params, escape_names=False)
    except SQLAlchemyError as fault:  # pandas will meet it, too, and raise it as it does
        raise NotCacheable(f"the statement does not compile: {type(fault).__name__}") from fault
    given = {name: _processed(bind, values[name], dialect) for bind, name in compiled.bind_names.items()}
    late = compiled.post_compile_params | compiled.literal_execute_params
    lists = frozenset(compiled.bind_names[bind] for bind in late if bind.expanding)
    return Query(
        kind="text" if isinstance(sql, TextClause) else "select",
        sql=str(compiled),
        params=_adapted(given, adapt, lists),
        positions=tuple(compiled.positiontup or ()),
        result_types=tuple(_result_types(compiled, dialect)),
        options={**options, "execution": _meaningful(execution | dict(statement.get_execution_options()))},
        environment=environment,
        typed=sql.text.replace("\\:", ":") if isinstance(sql, TextClause) else None,
        given=given,
        beside=(_written_late(compiled, values, dialect), *_MATCHING(compiled)),
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


def _adapted(
    params: Any, adapt: Callable[[object], object] | None, lists: frozenset[str] = frozenset()
) -> Any:
    """The bound values as the driver will have them.

    Args:
        params: the values.
        adapt: what the driver makes of one of them: a list, too, may have an adapter.
        lists: names of lists whose values the driver will have one by one.
    """
    if adapt is None or params is None:
        return params
    if isinstance(params, Mapping):
        return {
            name: _adapted_each(value, adapt) if name in lists else adapt(value)
            for name, value in params.items()
        }
    if type(params) in (list, tuple):
        return type(params)(adapt(value) for value in params)
    return adapt(params)


def _adapted_each(value: Any, adapt: Callable[[object], object]) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        each = [_adapted_each(item, adapt) for item in value]
        return frozenset(map(_hashable, each)) if isinstance(value, set | frozenset) else type(value)(each)
    return adapt(value)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_values(compiled: SQLCompiler, params: Mapping[str, Any]) -> None:
    """Refuse values that are another at each look, before anybody looks: pandas is to have the first."""
    for bind, name in compiled.bind_names.items():
        if bind.key in params or name in params:
            value = params.get(bind.key, params.get(name))
        elif bind.callable is None:
            value = bind.value
        else:
            raise NotCacheable(f"the value of :{name} is made by a function at each look")
        if hasattr(value, "__next__"):
            raise NotCacheable(f"the value of :{name} can be read only once")


def _processed(bind: BindParameter[Any], value: Any, dialect: Dialect) -> Any:
    """A bound value after its type's bind processor: what the driver will get."""
    try:
        if isinstance(bind.type, TupleType):
            processors = [_processor(kind, dialect) or _unchanged for kind in bind.type.types]
            return [
                tuple(process(each) for process, each in zip(processors, row, strict=True)) for row in value
            ]
        process = _processor(bind.type, dialect)
        if process is None:
            return value
        if bind.expanding:
            values = [process(item) for item in value]
            return frozenset(values) if isinstance(value, set | frozenset) else values
        return process(value)
    except Exception as fault:  # foreign code; pandas will meet the same fault and raise it
        raise NotCacheable(f"the value of :{bind.key} cannot be bound") from fault


def _unchanged(value: Any) -> Any:
    return value


def _processor(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What a type makes of a bound value, None where it leaves it as it is; NULL is no exception (JSON)."""
    impl = kind.dialect_impl(dialect)
    process: Callable[[Any], Any] | None = impl.bind_processor(dialect)
    # A dialect that never connected has no driver, whose Binary it would take.
    return _binary if process is None and isinstance(impl, LargeBinary) else process


def _binary(value: Any) -> bytes | None:
    return None if value is None else bytes(memoryview(value))


# Where the compiler keeps whether result types go by the columns' names or places.
_MATCHING = attrgetter("_ordered_columns", "_textual_ordered_columns", "_loose_column_name_matching")


def _written_late(compiled: SQLCompiler, values: Mapping[str, Any], dialect: Dialect) -> tuple[str, ...]:
    """What is written into the text when it is run: before, it is the same for 1 and '1', DATE and TIMESTAMP."""
    late = compiled.post_compile_params | compiled.literal_execute_params
    if not late:
        return ()
    names = sorted(compiled.bind_names[bind] for bind in late)
    try:
        if all(bind.expanding and not bind.literal_execute for bind in late) and all(map(values.get, names)):
            # The lengths of lists, and casts, which rendering would tell, too, at a cost.
            if dialect.bind_typing is not BindTyping.RENDER_CASTS:
                return ()
            binds = [compiled.binds[name] for name in names]
            return tuple(_cast(compiled, bind.type, dialect) for bind in binds)
        return (compiled.construct_expanded_state(dict(values)).statement,)
    except Exception as fault:  # foreign code, as above
        raise NotCacheable(f"the value of :{names[0]} cannot be bound") from fault


def _cast(compiled: SQLCompiler, kind: TypeEngine[Any], dialect: Dialect) -> str:
    impl = kind._unwrapped_dialect_impl(dialect)  # noqa: SLF001  # by which SQLAlchemy itself goes
    render: Any = compiled.render_bind_cast
    return str(render(kind, impl, "")) if impl.render_bind_cast else ""


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
