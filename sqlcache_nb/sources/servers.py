"""Engines of servers: which of them answer as their URL says, and what the others' sessions said.

An Engine's connections go back into its pool with what was set and committed on them: another search path,
another role, a temporary table. So a pool is watched from the first look on.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from sqlalchemy import event
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, Pool, QueuePool

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.sources import said
from sqlcache_nb.sources.calls import calls_code
from sqlcache_nb.sources.fingerprints import Fingerprint
from sqlcache_nb.sources.postgresql import HARMLESS
from sqlcache_nb.sources.sessions import DRIVERS, LiveSession, can_ask

# What holds for a transaction alone, or changes no answer, is left out where one SET sets one thing.
_HOLDS_SHORTLY = {
    "postgresql": rf"\s+(?:session\s+)?(?:local|transaction|{'|'.join(HARMLESS)})\b",
    "mysql": r"\s+transaction\b(?!.*\buncommitted\b)",
}
_TOUCHING = {
    dialect: re.compile(
        rf"""(?:^|;|\bbegin\b)\s*(?:(?:--|\#)[^\n]*\n\s*|/\*.*?\*/\s*)*
         (?:set\b(?!{shortly})
            | reset\b | use\b | alter\s+session\b | attach\b | do\b | call\b | exec(?:ute)?\b)
       | \btemp(?:orary)?\s+(?:table|view|sequence|macro)\b | \binto\s+temp(?:orary)?\b | \bpg_temp\b
       | \bset_config\s*\(
       | /\*M?! | @[^,;]*:= | \binto\s+@""",
        re.IGNORECASE | re.DOTALL | re.VERBOSE,
    )
    for dialect, shortly in _HOLDS_SHORTLY.items()
}
# Whose sessions tell what was set in them: there, a false alarm costs one question at each use.
_ALSO_TOUCHING = {
    "postgresql": re.compile(r"\btemp(?:orary)?\b|\bset_config\b|\bpg_(?:settings\b|temp)", re.IGNORECASE)
}
_ENDING = re.compile(r"(?:^|;)\s*(?:commit|end)\b", re.IGNORECASE)
# Behind each of them may be a tunnel, which leads elsewhere tomorrow, or a server that is made anew.
_LOCAL = re.compile(
    r"localhost(?:\..*)?|.*\.localhost|127\.[\d.]+|::1|0\.0\.0\.0|::|host\.docker\.internal|[/@].*",
    re.IGNORECASE,
)
_UNSEEN = "sqlcache_nb unseen"
_CALLED = "sqlcache_nb called"
_HOSTS = ("hostaddr", "host", "unix_sock", "unix_socket", "PGHOSTADDR", "PGHOST")


@dataclass(frozen=True, slots=True)
class _Memory:
    """What a session of an engine said, which connection that was, and how many were opened before."""

    fingerprint: Fingerprint
    connection: Callable[[], Any]
    opened: int


_watched: WeakSet[Pool] = WeakSet()
_touched: WeakSet[Pool] = WeakSet()
_set: WeakSet[Pool] = WeakSet()
"""Those of them where something was seen to be set: the others may be."""
# By the dialect, which an engine keeps for life; its pool is another one after dispose().
_opened: WeakKeyDictionary[Dialect, int] = WeakKeyDictionary()
_pools: WeakKeyDictionary[Dialect, Callable[[], Pool | None]] = WeakKeyDictionary()
_memories: WeakKeyDictionary[Dialect, _Memory] = WeakKeyDictionary()
_lock = threading.Lock()


def is_local(identity: SourceIdentity) -> bool:
    """Whether a server is reached through this machine: the same address may be another server tomorrow.

    Args:
        identity: what the URL says.
    """
    named = [str(value) for name in _HOSTS if (value := identity.options.get(name))]
    hosts = [host for each in [*named, identity.host or ""] for host in each.split(",") if host]
    own = {socket.gethostname().lower()}
    return not hosts or any(_LOCAL.fullmatch(host) or host.lower() in own for host in hosts)


def is_touched(engine: Engine) -> bool:
    """Whether a session of the engine may be unlike what its URL says; from now on it is watched.

    Args:
        engine: an engine of a server.

    Raises:
        NotCacheable: the sessions that it has had before cannot be asked.
    """
    pool = engine.pool
    with _lock:
        if engine.dialect not in _opened:
            _opened[engine.dialect] = 0
            # A pool hands its listeners on to the one that takes its place.
            event.listen(pool, "connect", _counting(ref(engine.dialect)))
            event.listen(pool, "checkout", _came_out)
            event.listen(pool, "checkin", _came_back(ref(engine.dialect)))
        _pools[engine.dialect] = ref(pool)
        is_new = pool not in _watched
        _watched.add(pool)
        _watch(engine)
    if isinstance(pool, NullPool):  # keeps no session
        return False
    if is_new and can_ask(engine.dialect.name, engine.dialect.driver):
        _look_back(engine, pool)
    return pool in _touched


def watch(engine: Engine) -> None:
    """Note from now on what is set in a session through the engine and its connections.

    Args:
        engine: an engine of a server.
    """
    with _lock:
        _watch(engine)


def _watch(engine: Engine) -> None:
    if not event.contains(engine, "before_cursor_execute", _note):
        event.listen(engine, "before_cursor_execute", _note)
        event.listen(engine, "engine_connect", _is_watched)
        event.listen(engine, "commit", _committed)
        event.listen(engine, "commit_twophase", _committed)
        event.listen(engine, "rollback", _rolled_back)


def was_touched(engine: Engine) -> bool:
    """Whether a session of the engine is known to be unlike what its URL says, or may be; nobody is asked.

    Args:
        engine: an engine of a server.
    """
    return engine.pool in _touched


def was_set(engine: Engine) -> bool:
    """Whether something was seen to be set in a session of the engine, in whichever of them.

    Args:
        engine: an engine of a server.
    """
    return engine.pool in _set


def _note(connection: Any, _cursor: object, statement: str, *_rest: object) -> None:
    dialect, pool = connection.dialect.name, connection.engine.pool
    family = "mysql" if dialect in DRIVERS else "postgresql"
    also = _ALSO_TOUCHING.get(dialect)
    if _TOUCHING[family].search(statement):
        _touched.add(pool)
        _set.add(pool)
        said.forget(connection)
    elif pool in _touched:
        return
    elif also is not None and also.search(statement):
        _touched.add(pool)
    elif also is not None:
        _note_call(connection, pool, statement)


def _note_call(connection: Any, pool: Pool, statement: str) -> None:
    """A function may set something for the session, which stays set if its transaction is committed."""
    fairy = connection.connection
    if calls_code(statement):
        fairy.info[_CALLED] = True
    ends = getattr(fairy.driver_connection, "autocommit", False) is True or _ENDING.search(statement)
    if ends and fairy.info.get(_CALLED):
        _touched.add(pool)


def _committed(connection: Any, *_rest: object) -> None:
    if not (connection.closed or connection.invalidated) and connection.connection.info.pop(_CALLED, False):
        _touched.add(connection.engine.pool)


def _rolled_back(connection: Any) -> None:
    if not (connection.closed or connection.invalidated):
        connection.connection.info.pop(_CALLED, None)


def _came_out(_raw: object, record: Any, _proxy: object) -> None:
    record.info[_UNSEEN] = True


def _is_watched(connection: Any) -> None:
    """What a Connection runs is seen; what `engine.raw_connection()` gives runs unseen."""
    connection.connection.info[_UNSEEN] = False


def _came_back(dialect: Callable[[], Dialect | None]) -> Callable[[object, Any], None]:
    """A listener that notes connections that were used unseen."""

    def note(_connection: object, record: Any) -> None:
        known = dialect()
        # How a transaction with a call in it was ended, that nobody has ended by SQLAlchemy, is not known either.
        is_doubtful = record.info.pop(_CALLED, False) or record.info.get(_UNSEEN)
        pool = _pools[known]() if known is not None and is_doubtful else None
        if pool is not None:
            _touched.add(pool)

    return note


def _counting(dialect: Callable[[], Dialect | None]) -> Callable[[object, object], None]:
    """A listener that counts an engine's connections."""

    def count(_connection: object, _record: object) -> None:
        if (known := dialect()) is not None:
            with _lock:
                _opened[known] += 1

    return count


def _look_back(engine: Engine, pool: Pool) -> None:
    """Ask each connection that the pool had before it was watched; what is out of it comes back unseen."""
    if not isinstance(pool, QueuePool) or pool.checkedout():
        _touched.add(pool)
        return
    with ExitStack() as held:
        try:
            for _ in range(pool.checkedin()):
                connection = held.enter_context(engine.connect()).connection
                if LiveSession(connection.driver_connection, engine.dialect.name).look().touched:
                    _touched.add(pool)
                    _set.add(pool)
        except SQLAlchemyError as fault:  # pandas will meet it, too
            with _lock:
                _watched.discard(pool)
            raise NotCacheable("the database cannot be reached") from fault
        except NotCacheable:  # asked again at each use, where it is said
            _touched.add(pool)


def remember(engine: Engine, fingerprint: Fingerprint, connection: Any) -> None:
    """Keep what a session of an engine said of itself.

    Args:
        engine: the engine, whose sessions are all set up in one way.
        fingerprint: what it said.
        connection: the driver's connection that said it.
    """
    with _lock:
        _memories[engine.dialect] = _Memory(fingerprint, ref(connection), _opened[engine.dialect])


def forget(engine: Engine) -> None:
    """Ask again at the next use."""
    with _lock:
        _memories.pop(engine.dialect, None)


def remembered(engine: Engine, *, unreachable: bool = False) -> Fingerprint | None:
    """What a session of the engine said, as long as it is there and no other one was opened since.

    Args:
        engine: the engine.
        unreachable: whether nobody can be asked now: then what was said last still stands.
    """
    with _lock:
        memory, opened = _memories.get(engine.dialect), _opened.get(engine.dialect)
    if memory is None:
        return None
    is_current = unreachable or (memory.opened == opened and is_quiet(memory.connection()))
    return memory.fingerprint if is_current else None


def is_quiet(connection: Any) -> bool:
    """Whether a driver's connection is open and nothing was heard of it: an end of it would be heard.

    Args:
        connection: the connection, or None for one that is gone.
    """
    try:
        if connection is None or getattr(connection, "closed", False):
            return False
        source = connection
        if not hasattr(connection, "fileno"):
            # pg8000's, whose _sock is a file that is made of it, and PyMySQL's.
            name = "_usock" if hasattr(connection, "_usock") else "_sock"
            source = getattr(connection, name)
        with DefaultSelector() as selector:
            selector.register(source, EVENT_READ)
            return not selector.select(0)
    except Exception:  # noqa: BLE001  # a driver's own: closed, or without a socket
        return False
