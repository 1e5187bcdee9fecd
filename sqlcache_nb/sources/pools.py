"""What can be told of an Engine's connections without opening one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources.listeners import executes

ConnectArgs = tuple[tuple[Any, ...], Mapping[str, Any]]


def connect_args(engine: Engine) -> ConnectArgs | None:
    """What the engine's own creator gives to the driver's `connect`, or None for one of somebody's own.

    The creator of another engine, whose pool this one has, is none of its own: its URL is another one.

    `create_engine(url, creator=...)` still shows the URL, and `connect_args` are in no public place:
    both can only be told by the closure of the pool's creator.
    """
    creator: Any = engine.pool._creator  # noqa: SLF001  # see above
    if (
        getattr(creator, "__module__", "") != "sqlalchemy.engine.create"
        or _owner(engine) is not engine.dialect
    ):
        return None
    arguments = _cell(creator, "cargs_tup") if _cell(creator, "cargs") is None else _cell(creator, "cargs")
    keywords = _cell(creator, "cparams")
    if arguments is None or keywords is None:
        return None
    # What SQLAlchemy's dialect itself adds says nothing of the database.
    adapters = getattr(engine.dialect, "_psycopg_adapters_map", None)
    own = {name: value for name, value in keywords.items() if value is not adapters}
    return tuple(arguments), own


def _owner(engine: Engine) -> Dialect | None:
    """The dialect of the engine for which the pool was made, None for a foreign creator."""
    owner = _cell(engine.pool._creator, "dialect")  # noqa: SLF001  # as above
    return owner if isinstance(owner, Dialect) else None


def check_pool(engine: Engine) -> None:
    """Refuse an engine with the pool of another one (`pool=other.pool`) that makes other values.

    Raises:
        NotCacheable: it does.
    """
    owner = _owner(engine)
    if owner is None or owner is engine.dialect:
        return
    check_dialect(owner)
    if type(owner) is not type(engine.dialect):
        raise NotCacheable("the engine's pool is that of an engine with another driver")


# Where a dialect keeps arguments of create_engine that shape labels and values, and their defaults.
_SHAPING = {
    "label_length": None,
    "_user_defined_max_identifier_length": None,
    "_native_inet_types": None,
}
_SHAPING_IN_SQLALCHEMYS_OWN = {
    "use_native_hstore": True,
    "coerce_to_decimal": True,
    "auto_convert_lobs": True,
}


def check_dialect(dialect: Dialect) -> None:
    """Refuse a dialect that makes values by code or settings that have no identity.

    Raises:
        NotCacheable: it does.
    """
    if getattr(dialect, "native_datetime", False):
        raise NotCacheable("the engine converts dates (native_datetime) by code that has no identity")
    for option in ("_json_serializer", "_json_deserializer"):
        if getattr(dialect, option, None) is not None:
            raise NotCacheable(f"the engine has a {option.strip('_')} of its own, whose code has no identity")
    is_sqlalchemys = type(dialect).__module__.startswith("sqlalchemy.")
    for name, default in (_SHAPING | (_SHAPING_IN_SQLALCHEMYS_OWN if is_sqlalchemys else {})).items():
        if getattr(dialect, name, default) != default:
            argument = name.removeprefix("_").removeprefix("user_defined_")
            raise NotCacheable(f"the engine has a {argument} of its own, which makes other labels or values")


def check_listeners(connectable: Engine | Connection) -> None:
    """Refuse an engine whose statements are rewritten, or preceded by others, on their way.

    Raises:
        NotCacheable: they are.
    """
    dialect = connectable.dialect
    for event in ("before_execute", "before_cursor_execute"):
        for listener in getattr(connectable.dispatch, event):
            # A listener without retval=True reaches us in SQLAlchemy's wrapper, which cannot rewrite.
            if _is_foreign(listener, dialect):
                raise NotCacheable("a listener (retval=True) rewrites the engine's statements")
            if executes(_cell(listener, "orig_fn")):
                raise NotCacheable("a listener executes statements of its own before the engine's")
    for event in ("do_execute", "do_execute_no_params", "do_executemany"):
        if any(_is_foreign(listener, dialect) for listener in getattr(dialect.dispatch, event)):
            raise NotCacheable("a listener executes the engine's statements in its own way")


def _cell(function: Any, name: str) -> Any:
    """What a closure holds under a name, None where it holds nothing."""
    code = getattr(function, "__code__", None)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True)) if code is not None else {}
    return cells[name].cell_contents if name in cells else None


def sets_up_sessions(engine: Engine) -> bool:
    """Whether listeners of somebody's own may change what a new session is."""
    owner = _owner(engine) or engine.dialect
    new = _has_foreign(
        engine, (engine.pool.dispatch, "connect first_connect"), (owner.dispatch, "do_connect")
    )
    return new or sets_up_each_use(engine)


def sets_up_each_use(engine: Engine) -> bool:
    """Whether listeners of somebody's own may change a session each time that it is used."""
    return _has_foreign(
        engine, (engine.pool.dispatch, "checkout checkin reset"), (engine.dispatch, "engine_connect begin")
    )


def acts_beside(connection: Connection) -> bool:
    """Whether listeners of somebody's own may run something on a connection beside what it is asked."""
    begins = (connection.dispatch, "begin engine_connect")
    after = (connection.dispatch, "after_execute after_cursor_execute")
    return sets_up_each_use(connection.engine) or _has_foreign(connection.engine, begins, after)


def sets_up_transactions(connection: Connection) -> bool:
    """Whether listeners of somebody's own may change what a transaction of the connection is."""
    return _has_foreign(connection.engine, (connection.dispatch, "begin"))


def reads_uncommitted(engine: Engine) -> bool:
    """Whether the engine's connections see rows that nobody has committed; PostgreSQL's never do."""
    return _isolation(engine) == "READ UNCOMMITTED" and engine.dialect.name != "postgresql"


def commits_alone(engine: Engine) -> bool:
    """Whether the engine's connections commit each statement, as far as its own arguments say."""
    _, keywords = connect_args(engine) or ((), {})
    return _isolation(engine) == "AUTOCOMMIT" or bool(keywords.get("autocommit"))


def _isolation(engine: Engine) -> str:
    level = engine.get_execution_options().get("isolation_level")
    level = level or getattr(_owner(engine) or engine.dialect, "_on_connect_isolation_level", None)
    return str(level).upper().replace("_", " ")


def _has_foreign(engine: Engine, *places: tuple[Any, str]) -> bool:
    return any(
        _is_foreign(listener, engine.dialect)
        for dispatch, events in places
        for event in events.split()
        for listener in getattr(dispatch, event)
    )


def _is_foreign(listener: Any, dialect: Dialect) -> bool:
    if getattr(listener, "__qualname__", "").startswith("only_once."):
        listener = _cell(listener, "fn") or listener
    home = str(getattr(listener, "__module__", "")).partition(".")[0]
    return home not in {"sqlalchemy", __name__.partition(".")[0], type(dialect).__module__.partition(".")[0]}


def gives_one_to_all(engine: Engine) -> bool:
    """Whether two who ask for a connection may get the same one, with the transaction that is open in it."""
    return not isinstance(engine.pool, QueuePool | NullPool | AssertionPool)


def spares_one(engine: Engine, number: int) -> bool:
    """Whether threads of ours may take connections of their own, and leave one to whoever asks next.

    Code of somebody's own that opens connections may give the same one each time: its transaction would be ended
    with ours.

    Args:
        engine: the engine.
        number: how many such threads there are at most.
    """
    pool, opens = engine.pool, (engine.dialect.dispatch, "do_connect")
    if gives_one_to_all(engine) or connect_args(engine) is None or _has_foreign(engine, opens):
        return False
    if isinstance(pool, QueuePool):
        overflow = pool._max_overflow  # noqa: SLF001  # in no public place
        return overflow < 0 or pool.size() + overflow - pool.checkedout() > number
    return not isinstance(pool, AssertionPool)


def idle_connections(engine: Engine) -> int:
    """How many connections wait in the pool at most."""
    pool = engine.pool
    return pool.checkedin() if isinstance(pool, QueuePool) else int(not isinstance(pool, NullPool))


def has_idle_connections(engine: Engine) -> bool:
    """Whether the next connection may be one that somebody has used: such a session may carry anything."""
    return idle_connections(engine) > 0
