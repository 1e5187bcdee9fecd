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
from sqlalchemy.pool import NullPool, Pool, QueuePool

from sqlcache_nb.errors import NotCacheable

# They say how long and with what means a statement runs, and not what it answers.
_HARMLESS = """application_name client_encoding default_transaction_deferrable default_transaction_isolation
    default_transaction_read_only extra_float_digits idle_in_transaction_session_timeout lock_timeout
    maintenance_work_mem standard_conforming_strings statement_timeout transaction_deferrable
    transaction_isolation transaction_read_only work_mem""".split()
_TOUCHING = re.compile(
    rf"""(?:^|;|\bbegin\b)\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*
         (?:set\b(?!\s+(?:session\s+)?(?:local|transaction|{"|".join(_HARMLESS)})\b)
            | reset\b | use\b | alter\s+session\b | attach\b | do\b | call\b | exec(?:ute)?\b)
       | \btemp(?:orary)?\s+(?:table|view|sequence|macro)\b | \binto\s+temp(?:orary)?\b | \bpg_temp\b
       | \bset_config\s*\(""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_POSTGRESQL = f"""
SELECT (SELECT string_agg(name, ', ') FROM pg_settings WHERE source = 'session' AND name NOT IN
           ('DateStyle', {", ".join(map(repr, _HARMLESS))})),
       EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
       current_user <> session_user
"""  # noqa: S608  # names of our own

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
    if isinstance(pool, NullPool):  # keeps no session
        return
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
    if _TOUCHING.search(statement):
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
