"""What can be told of an Engine's connections without opening one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.pool import NullPool, QueuePool

from sqlcache_nb.errors import NotCacheable

ConnectArgs = tuple[tuple[Any, ...], Mapping[str, Any]]


def connect_args(engine: Engine) -> ConnectArgs | None:
    """What the engine's own creator gives to the driver's `connect`, or None for a foreign creator.

    `create_engine(url, creator=...)` still shows the URL, and `connect_args` are in no public place:
    both can only be told by the closure of the pool's creator.
    """
    creator: Any = engine.pool._creator  # noqa: SLF001  # see above
    code = getattr(creator, "__code__", None)
    if getattr(creator, "__module__", "") != "sqlalchemy.engine.create" or code is None:
        return None
    cells = dict(zip(code.co_freevars, creator.__closure__ or (), strict=True))
    arguments = cells.get("cargs_tup", cells.get("cargs"))
    keywords = cells.get("cparams")
    if arguments is None or keywords is None:
        return None
    # What SQLAlchemy's dialect itself adds says nothing of the database.
    adapters = getattr(engine.dialect, "_psycopg_adapters_map", None)
    own = {name: value for name, value in keywords.cell_contents.items() if value is not adapters}
    return tuple(arguments.cell_contents), own


def is_plain(engine: Engine) -> bool:
    """Whether nobody's code but SQLAlchemy's opens the engine's connections and sets up their sessions."""
    return connect_args(engine) is not None and not _sets_up_sessions(engine)


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


def check_rewriting(connectable: Engine | Connection) -> None:
    """Refuse an engine whose statements are rewritten on their way.

    Raises:
        NotCacheable: they are.
    """
    for event in ("before_execute", "before_cursor_execute"):
        # A listener without retval=True reaches us in SQLAlchemy's wrapper, which cannot rewrite.
        if any(
            _is_foreign(listener, connectable.dialect) for listener in getattr(connectable.dispatch, event)
        ):
            raise NotCacheable("a listener (retval=True) rewrites the engine's statements")


def _sets_up_sessions(engine: Engine) -> bool:
    """Whether listeners of somebody's own may change what a new session is."""
    places = (
        (engine.pool.dispatch, ("connect", "first_connect", "checkout")),
        (engine.dialect.dispatch, ("do_connect",)),
        (engine.dispatch, ("engine_connect", "begin")),
    )
    return any(
        _is_foreign(listener, engine.dialect)
        for dispatch, events in places
        for event in events
        for listener in getattr(dispatch, event)
    )


def _is_foreign(listener: Any, dialect: Dialect) -> bool:
    code = getattr(listener, "__code__", None)
    if code is not None and getattr(listener, "__qualname__", "").startswith("only_once."):
        inner = dict(zip(code.co_freevars, listener.__closure__ or (), strict=True)).get("fn")
        listener = inner.cell_contents if inner is not None else listener
    home = str(getattr(listener, "__module__", "")).partition(".")[0]
    return home not in {"sqlalchemy", type(dialect).__module__.partition(".")[0]}


def has_idle_connections(engine: Engine) -> bool:
    """Whether the next connection may be one that somebody has used: such a session may carry anything."""
    if isinstance(engine.pool, QueuePool):
        return engine.pool.checkedin() > 0
    return not isinstance(engine.pool, NullPool)
