"""Validator tokens of database files: equal tokens prove that nothing was committed in between.

SQLite: the file change counter (https://www.sqlite.org/fileformat.html, 1.3.7), and in WAL mode, where
that counter and the file's own time stand still until a checkpoint, the size, time and salt of the
`-wal` file (ibid., 4.1) and the header of its index, which counts the transactions
(https://www.sqlite.org/walformat.html, 2.1): a file's time alone may be as coarse as a tick. DuckDB: the
three header blocks, one of which counts the checkpoints
(https://duckdb.org/docs/stable/internals/storage), and the size and time of the `.wal` file.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

_HEADER = {"sqlite": 100, "duckdb": 3 * 4096}
_WAL_SUFFIX = {"sqlite": "-wal", "duckdb": ".wal"}
_WAL_HEADER = 32
_WAL_INDEX_HEADER = 48

_open_files: dict[str, int] = {}
_replaced: list[int] = []
"""Descriptors of files that no longer stand at the path by which they were opened."""

_lock = threading.Lock()


def token(dialect: str, paths: tuple[str, ...]) -> str | None:
    """The validator token of a database's files as they are now.

    Args:
        dialect: "sqlite" or "duckdb".
        paths: real paths of the files.

    Returns:
        The token, or None where it cannot be told.
    """
    if dialect not in _HEADER or not paths:
        return None
    try:
        return " ".join(_token(dialect, path) for path in paths)
    except OSError:  # no such file, or not ours to read: "cannot tell", and never "unchanged"
        return None


def _token(dialect: str, path: str) -> str:
    digest = blake2b(digest_size=16)
    status = os.stat(path)
    digest.update(_head(path, _HEADER[dialect], status))
    # Where st_ctime is the time of change it also sees a copy that kept the old mtime.
    digest.update(_stamp(status, status.st_ctime_ns if os.name == "posix" else 0))
    wal = path + _WAL_SUFFIX[dialect]
    try:
        wal_status = os.stat(wal)
    except FileNotFoundError:
        return digest.hexdigest()
    if wal_status.st_size:  # an empty one is what a mere reader leaves
        digest.update(_stamp(wal_status, 0))  # each opening by root is a change of owner, and moves st_ctime
        if dialect == "sqlite":
            digest.update(_start_of(wal))
            digest.update(_wal_index(path))
    return digest.hexdigest()


def _stamp(status: os.stat_result, changed: int) -> bytes:
    return f"{status.st_size} {status.st_mtime_ns} {changed};".encode()


def _start_of(wal: str) -> bytes:
    with Path(wal).open("rb") as file:  # no lock is ever held on it
        return file.read(_WAL_HEADER)


def _wal_index(path: str) -> bytes:
    """The header of the index that all connections share, b"" where none is open."""
    index = f"{path}-shm"
    try:
        return _head(index, _WAL_INDEX_HEADER, os.stat(index))
    except FileNotFoundError:
        return b""


def sqlite_header(path: str) -> bytes:
    """The header of a SQLite file, b"" of an empty one.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
    """
    return _head(path, _HEADER["sqlite"], os.stat(path))


def sqlite_schema_cookie(path: str) -> int:
    """The schema's version number in a SQLite file (fileformat.html, 1.3.9): DDL changes it at commit."""
    return int.from_bytes(sqlite_header(path)[40:44], "big")


def inode(path: str) -> str:
    """Which file stands at a path now: another one in its place has another inode.

    Raises:
        OSError: there is none.
    """
    return "{}:{}".format(*_which(os.stat(path)))


def is_open(path: str) -> bool:
    """Whether this process has the file at the path open otherwise than here.

    A connection to a file that was replaced has another one open. Where it cannot be told (Windows, where
    an open file cannot be replaced), it is taken to be.
    """
    try:
        wanted = _which(os.stat(path))
    except OSError:  # it was deleted under the connection
        return False
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]  # names, and no paths
    except OSError:
        return True
    with _lock:
        ours = {*_open_files.values(), *_replaced}
    found = False
    for number in set(numbers) - ours:
        with suppress(OSError):  # closed in between, the one that listed them first of all
            if _was_replaced(number, path):  # then it may as well be that one that the connection reads
                return False
            found = found or _which(os.fstat(number)) == wanted
    return found


def may_be_open(path: str) -> bool:
    """Whether somebody else in this process may have a DuckDB file open, by this path or by another.

    Another DuckDB file counts, too: this one may be attached to it, or it may be what stood at the path.

    Args:
        path: its real path.
    """
    wanted = None
    with suppress(OSError):  # whoever comes first will make it
        wanted = _which(os.stat(path))
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return True
    with _lock:
        ours = {*_open_files.values(), *_replaced}
    return any(_is_duckdb(number, wanted) for number in set(numbers) - ours)


def _is_duckdb(number: int, wanted: tuple[int, int] | None) -> bool:
    """Whether an open descriptor is of a certain file, or of any that DuckDB made."""
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            return False
        return _which(status) == wanted or os.pread(number, 12, 0)[8:] == b"DUCK"
    except OSError:  # closed in between, or not to be read
        return False


def _was_replaced(number: int, path: str) -> bool:
    """Whether an open descriptor is of a file that stood at the path before: Linux tells."""
    try:
        return os.readlink(f"/proc/self/fd/{number}") == f"{path} (deleted)"
    except OSError:
        return False


def _which(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _head(path: str, length: int, status: os.stat_result) -> bytes:
    """The first bytes of a database file, read without closing a descriptor of it.

    Closing any descriptor of a file drops all POSIX locks that this process holds on it, those of a
    SQLite or DuckDB in the middle of a transaction included
    (https://www.sqlite.org/howtocorrupt.html, 2.2). So it is opened once and kept. Windows has no such
    trap, and there an open file could not be replaced.
    """
    if os.name != "posix":
        with Path(path).open("rb") as file:
            return file.read(length)
    with _lock:
        descriptor = _open_files.get(path)
        if descriptor is not None and _which(os.fstat(descriptor)) != _which(status):
            _replaced.append(_open_files.pop(path))
            descriptor = None
        if descriptor is None:
            _sweep()
            descriptor = _open_files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(descriptor, length, 0)


def _sweep() -> None:
    """Give back what is kept of deleted files: their locks guard nothing.

    A file that was only renamed may still be in use here, and is kept.
    """
    for path, descriptor in list(_open_files.items()):
        if os.fstat(descriptor).st_nlink == 0:
            _replaced.append(_open_files.pop(path))
    for descriptor in list(_replaced):
        if os.fstat(descriptor).st_nlink == 0:
            _replaced.remove(descriptor)
            os.close(descriptor)
