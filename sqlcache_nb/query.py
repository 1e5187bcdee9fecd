"""What is asked: the statement as it will reach the driver, and all that shapes the answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from inspect import signature
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, text
from sqlalchemy.engine.interfaces import BindTyping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import BindParameter, TextClause
from sqlalchemy.sql.lambdas import StatementLambdaElement
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import LargeBinary, TupleType, TypeEngine

from sqlcache_nb.constant import ConstantList
from sqlcache_nb.errors import NotCacheable

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.compiler import SQLCompiler


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
            "statement": _statement(self.kind, self.sql, self.beside),
            "parameters": [self.params, self.positions],
            "result types": list(self.result_types) if self.result_types else _NOTHING,
            "options": self.options,
            "environment": self.environment,
        }


_NOTHING = ConstantList()


@lru_cache(maxsize=64)
def _statement(kind: str, sql: str, beside: tuple[object, ...]) -> ConstantList:
    """What is asked, for a statement that is asked again the same object, whose bytes are known (`constant`)."""
    return ConstantList([kind, sql, *beside])


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
        told = _told(options, execution)
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
        compiled, values = _compiled(sql, params, dialect)
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
        options=_told(options, execution | statement.get_execution_options()),
        environment=environment,
        typed=sql.text.replace("\\:", ":") if isinstance(sql, TextClause) else None,
        given=given,
        beside=(_written_late(compiled, values, dialect), *_MATCHING(compiled)),
    )


def _compiled(sql: Any, params: Any, dialect: Dialect) -> tuple[Any, Mapping[str, Any]]:
    """A statement's compiled form, and the values to bind, as they are given."""
    binds = _plain_binds(sql, dialect)
    if binds is None:
        compiled = sql.compile(dialect=dialect)
    else:
        compiled = _compiled_text(dialect, sql.text, binds)
        own = {name: bind.value for name, bind in sql._bindparams.items() if not bind.required}  # noqa: SLF001
        params = {**own, **(params or {})}
    _check_values(compiled, params or {})
    return compiled, compiled.construct_params(params, escape_names=False)


_Binds = tuple[tuple[str, TypeEngine[Any], bool], ...]


def _plain_binds(sql: Any, dialect: Dialect) -> _Binds | None:
    """Name, type and whether a value must be given of each parameter of a `text()`.

    None where they do not tell, together with the text, all that it is compiled to.
    """
    if type(sql) is not TextClause or _is_rewritten(TextClause, BindParameter):
        return None
    binds = []
    for name, bind in sql._bindparams.items():  # noqa: SLF001  # in no public place
        kind = bind.type
        is_plain = (
            type(bind) is BindParameter
            and bind.key == name
            and not (
                bind.unique or bind.expanding or bind.literal_execute or bind.isoutparam or bind.callable
            )
            and type(kind).__module__ == "sqlalchemy.sql.sqltypes"
            and not _is_rewritten(type(kind), type(kind.dialect_impl(dialect)))
        )
        if not is_plain:
            return None
        binds.append((name, kind, bind.required))
    return tuple(binds)


def _is_rewritten(*kinds: type) -> bool:
    """Whether somebody's own code compiles them, which may change at any time."""
    if "sqlalchemy.ext.compiler" not in sys.modules:
        return False
    return any(hasattr(kind, "_compiler_dispatcher") for kind in kinds)


@lru_cache(maxsize=256)
def _compiled_text(dialect: Any, sql: str, binds: _Binds) -> Any:
    """A `text()` in its compiled form, without anybody's values.

    Args:
        dialect: for which.
        sql: its text.
        binds: its parameters; a type is the same as itself only.
    """
    plain = [bindparam(name, type_=kind, required=required) for name, kind, required in binds]
    return text(sql).bindparams(*plain).compile(dialect=dialect)


# How a statement is run, and not what it answers.
_HARMLESS_EXECUTION = frozenset(
    """autocommit autoflush compiled_cache isolation_level logging_token max_row_buffer populate_existing
    preserve_rowcount stream_results yield_per""".split()
)


def _told(options: Mapping[str, object], execution_options: Mapping[str, object]) -> Mapping[str, object]:
    """The read options together with those options of the execution that change the answer."""
    if not execution_options and "execution" in options:
        return options  # the same object again, whose bytes are known (`constant`)
    meaningful = {
        name: value
        for name, value in execution_options.items()
        if name not in _HARMLESS_EXECUTION and not name.startswith("_")
    }
    return {**options, "execution": meaningful}


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
    for column in compiled._result_columns:  # noqa: SLF001  # in no public place
        try:
            kinds = _kinds(column.type, dialect)
        except NotCacheable as refusal:
            raise NotCacheable(f"column {column.keyname} has a type {refusal}") from None
        yield str(column.keyname), kinds


# SQLAlchemy's own caches, too, take a type for one that is never changed.
_known: WeakKeyDictionary[TypeEngine[Any], tuple[TypeEngine[Any], ConstantList]] = WeakKeyDictionary()


def _kinds(kind: TypeEngine[Any], dialect: Dialect) -> ConstantList:
    """A result type and what it is for the dialect: a variant is another one, a decorator is hidden behind its own."""
    own = kind.dialect_impl(dialect)
    for_whom, kinds = _known.get(kind, (None, None))
    if kinds is None or for_whom is not own:
        homes = ("sqlalchemy", type(dialect).__module__.partition(".")[0])
        kinds = ConstantList(_described(each, homes) for each in (kind, own))
        _known[kind] = own, kinds
    return kinds


def _described(kind: TypeEngine[Any], homes: tuple[str, ...]) -> object:
    """A type's class, and the arguments that it was made with."""
    hashable: Any = type(kind)  # as every class is, whatever its instances' __hash__ says
    home, name, names = _class_of(hashable)
    if home not in homes:
        raise NotCacheable(
            f"of your own ({type(kind).__qualname__}), whose code may change under the same name"
        )
    arguments = {
        argument: _described(value, homes) if isinstance(value, TypeEngine) else value
        for argument, value in vars(kind).items()
        if argument in names
    }
    return [name, arguments]


# Beside the constructors' own names: where Enum and SQLite's dates keep their arguments.
_KEPT_ELSEWHERE = frozenset({"enums", "enum_class", "_storage_format", "_reg"})
_NO_ARGUMENTS = frozenset({"metadata", "_variant_mapping"})


@lru_cache(maxsize=1024)
def _class_of(kind: type) -> tuple[str, str, frozenset[str]]:
    """A type's package, its full name, and where its instances keep what they were made with."""
    names = _KEPT_ELSEWHERE.union(*map(_constructor_arguments, kind.__mro__)) - _NO_ARGUMENTS
    return kind.__module__.partition(".")[0], f"{kind.__module__}.{kind.__qualname__}", names


@cache
def _constructor_arguments(kind: type) -> frozenset[str]:
    try:
        return frozenset(signature(kind.__init__).parameters)  # type: ignore[misc]  # of a class
    except ValueError:  # built in, without a signature
        return frozenset()
