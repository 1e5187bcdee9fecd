"""Validator tokens of database files: equal tokens prove that nothing was committed in between.

SQLite: the file change counter (https://www.sqlite.org/fileformat.html, 1.3.7), and in WAL mode, where
that counter and the file's own time stand still until a checkpoint, the size, time and salt of the
`-wal` file (ibid., 4.1). DuckDB: the three header blocks, one of which counts the checkpoints
(https://duckdb.org/docs/stable/internals/storage), and the size and time of the `.wal` file.
"""

from __future__ import annotations

import os
import threading
from hashlib import blake2b
from pathlib import Path

_HEADER = {"sqlite": 100, "duckdb": 3 * 4096}
_WAL_SUFFIX = {"sqlite": "-wal", "duckdb": ".wal"}
_WAL_HEADER = 32

_open_files: dict[str, int] = {}
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
    status = Path(path).stat()
    digest.update(_head(path, _HEADER[dialect], status))
    digest.update(_stamp(status))
    wal = Path(path + _WAL_SUFFIX[dialect])
    try:
        wal_status = wal.stat()
    except FileNotFoundError:
        return digest.hexdigest()
    if wal_status.st_size:  # an empty one is what a mere reader leaves
        digest.update(_stamp(wal_status))
        if dialect == "sqlite":
            with wal.open("rb") as file:
                digest.update(file.read(_WAL_HEADER))
    return digest.hexdigest()


def _stamp(status: os.stat_result) -> bytes:
    # Where st_ctime is the time of change it also sees a copy that kept the old mtime.
    changed = status.st_ctime_ns if os.name == "posix" else 0
    return f"{status.st_size} {status.st_mtime_ns} {changed};".encode()


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
        if descriptor is not None and not _is_same(descriptor, status):
            _release(descriptor)
            descriptor = None
        if descriptor is None:
            descriptor = _open_files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(descriptor, length, 0)


def _is_same(descriptor: int, status: os.stat_result) -> bool:
    kept = os.fstat(descriptor)
    return (kept.st_dev, kept.st_ino) == (status.st_dev, status.st_ino)


def _release(descriptor: int) -> None:
    # A deleted file's locks guard nothing; one that was only renamed may still be in use here.
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)


def sqlite_schema_cookie(path: str) -> int:
    """The schema's version number in a SQLite file (fileformat.html, 1.3.9): DDL changes it at commit."""
    return int.from_bytes(_head(path, 44, Path(path).stat())[40:44], "big")
