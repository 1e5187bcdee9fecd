"""Sessions of servers that somebody has touched: another search path, another role, a temporary table.

An Engine's connections go back into its pool with what was set and committed on them. Such an engine no
longer answers as its URL says.
"""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import Pool, QueuePool

from sqlcache_nb.errors import NotCacheable

_TOUCHING = re.compile(
    r"""\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*
    (?:set\b(?!\s+(?:local|transaction)\b) | reset\b | use\b | alter\s+session\b | attach\b
       | create\s+(?:or\s+replace\s+)?(?:global\s+|local\s+)?temp(?:orary)?\b | select\b.*\bset_config\s*\()""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# What drivers set themselves says nothing of a person.
_POSTGRESQL = """
SELECT (SELECT string_agg(name, ', ') FROM pg_settings WHERE source = 'session' AND name NOT IN
           ('application_name', 'client_encoding', 'DateStyle', 'extra_float_digits', 'standard_conforming_strings')),
       EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
       current_user <> session_user
"""

_watched: WeakSet[Pool] = WeakSet()
_touched: WeakSet[Pool] = WeakSet()
_lock = threading.Lock()


def check_sessions(engine: Engine) -> None:
    """Refuse an engine whose sessions somebody has touched; from now on it is watched.

    Args:
        engine: an engine of a server.

    Raises:
        NotCacheable: a session is not what the URL says, or cannot be asked.
    """
    pool = engine.pool
    with _lock:
        is_new = pool not in _watched
        _watched.add(pool)
        if not event.contains(engine, "before_cursor_execute", _note):
            event.listen(engine, "before_cursor_execute", _note)
    if is_new and isinstance(pool, QueuePool) and engine.dialect.name == "postgresql":
        _look_at_idle_connections(engine, pool.checkedin())
    if pool in _touched:
        raise NotCacheable(
            "a session of the engine was changed (SET, a role, a temporary table), and the URL does not tell; "
            "engine.dispose() makes new ones"
        )


def _note(connection: Any, _cursor: object, statement: str, *_rest: object) -> None:
    if _TOUCHING.match(statement):
        _touched.add(connection.engine.pool)


def _look_at_idle_connections(engine: Engine, count: int) -> None:
    """Ask each connection that was in the pool before it was watched."""
    with ExitStack() as held:
        try:
            for _ in range(count):
                raw = held.enter_context(engine.connect()).connection
                cursor = raw.cursor()
                cursor.execute(_POSTGRESQL)
                if cursor.fetchone() not in ((None, False, False), [None, False, False]):
                    _touched.add(engine.pool)
                cursor.close()
        except SQLAlchemyError as fault:  # pandas will meet it, too
            with _lock:
                _watched.discard(engine.pool)
            raise NotCacheable("the database cannot be reached") from fault
