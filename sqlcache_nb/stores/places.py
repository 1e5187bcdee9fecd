"""The folder of a store: who may look into it, what in it is ours, and which faults it has."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import stat
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from sqlcache_nb.errors import StoreWarning, warn

LAYOUT = "v1"
"""The folder of this layout: another version of the library leaves it alone."""

DATABASE = "cache.db"
"""The database of rows."""

STAMP = "swept"
"""An empty file, as old as the last sweep."""

SPOOL = "spool-"
"""How the names of unfinished payloads begin, where a system cannot do without names."""

LOCKS = "locks"
"""The folder of the locks: who asks a question, for those who wait."""

_ASIDE = "cache.db.damaged-"
BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_warned: set[str] = set()


class Fault(Enum):
    """What is wrong with a place."""

    DAMAGED = "damaged"
    FULL = "full"
    LOCKED = "locked"
    READ_ONLY = "read-only"
    OTHER = "other"


_SQLITE = {
    sqlite3.SQLITE_BUSY: Fault.LOCKED,
    sqlite3.SQLITE_LOCKED: Fault.LOCKED,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGED,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: Fault.DAMAGED,  # an index that does not tell of its rows
}
_NOT_OURS = re.compile("no such (?:table|column)|table .* has no column|unsupported file format")
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"nfs\d*|cifs|smb\w*|afs|9p|ceph|lustre|glusterfs|fuse\.(?:sshfs|glusterfs|cephfs)|ncpfs|davfs"
)
_NO_TEXT = re.compile("Could not decode to UTF-8")  # the driver's own word, without a code
_SYSTEM = {
    errno.ENOSPC: Fault.FULL,
    errno.EDQUOT: Fault.FULL,
    errno.EFBIG: Fault.FULL,
    errno.EROFS: Fault.READ_ONLY,
    errno.EACCES: Fault.READ_ONLY,
    errno.EPERM: Fault.READ_ONLY,
}


def kind_of(fault: BaseException) -> Fault:
    """What a fault of SQLite or of the system says about the place.

    Args:
        fault: an error of either.

    Example:
        >>> kind_of(OSError(errno.ENOSPC, "No space left on device"))
        <Fault.FULL: 'full'>
    """
    if isinstance(fault, sqlite3.Error):
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF  # the driver's own have none
        if (code == sqlite3.SQLITE_ERROR and _NOT_OURS.match(str(fault))) or _NO_TEXT.match(str(fault)):
            return Fault.DAMAGED
        return _SQLITE.get(code, Fault.OTHER)
    if isinstance(fault, UnicodeDecodeError):
        return Fault.DAMAGED
    if isinstance(fault, OSError) and fault.errno is not None:
        return _SYSTEM.get(fault.errno, Fault.OTHER)
    return Fault.OTHER


def lacks_tables(fault: BaseException) -> bool:
    """Whether a database has no tables, or not yet.

    Args:
        fault: an error of SQLite or of the system.
    """
    return isinstance(fault, sqlite3.OperationalError) and str(fault).startswith("no such table")


def lacks_room(fault: sqlite3.Error) -> bool:
    """Whether a disk may be full: SQLite says so of its log in two ways.

    Args:
        fault: its error.
    """
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def told(fault: BaseException, directory: Path, *, is_read_only: bool) -> str:
    """A fault of the place in a sentence that says what to do.

    Args:
        fault: an error of SQLite or of the system.
        directory: as a person named it.
        is_read_only: whether the directory can be read and not be written to.
    """
    kind = kind_of(fault)
    if kind is Fault.READ_ONLY and is_read_only:
        return (
            f"the cache directory {directory} is read-only: what it holds is served, and nothing is added. "
            "Name another with SQLCACHE_NB_DIR"
        )
    reason = "another process holds its lock" if kind is Fault.LOCKED else str(fault)
    if isinstance(fault, OSError) and fault.strerror:
        reason = fault.strerror  # without a payload's random name: the same fault is said once
    return (
        f"the cache directory {directory} cannot be used ({reason}); queries run without it. "
        "Mend or move it, or name another with SQLCACHE_NB_DIR"
    )


def make_private(folder: Path) -> None:
    """Make the folder, readable by its owner alone, and let git ignore it.

    Args:
        folder: the layout's own folder.
    """
    parent = folder.parent
    parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    if not any(parent.iterdir()):  # ours alone: another's folder gets no .gitignore
        (parent / ".gitignore").write_text("*\n", encoding="utf-8")
    folder.mkdir(mode=0o700, exist_ok=True)
    refuse_links(folder)
    with suppress(FileExistsError):  # before SQLite would make it readable for everybody
        os.close(os.open(folder / DATABASE, os.O_CREAT | os.O_EXCL, 0o600))


def refuse_links(folder: Path) -> None:
    """See to it that what is written to the folder goes nowhere else.

    Args:
        folder: the layout's own folder.

    Raises:
        OSError: it, or the database in it, is a symbolic link.
    """
    for path in (folder, folder / DATABASE):
        if path.is_symlink():
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link")


def warn_of_others(folder: Path) -> None:
    """Say it, once in a process, where others than its owner may write to the folder.

    Args:
        folder: the layout's own folder.
    """
    if os.name != "posix":  # modes say nothing there
        return
    for path in (folder.parent, folder, folder / DATABASE):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS_WRITE and str(path) not in _warned:
            _warned.add(str(path))
            warn(
                f"others than you may write to {path} (mode {mode:o}), and so put wrong answers into the cache: "
                f"chmod go-w {path}",
                StoreWarning,
            )


def warn_of_network(folder: Path) -> None:
    """Say it, once in a process, where the folder is on another machine: Linux and Windows tell.

    Args:
        folder: the layout's own folder.
    """
    kind = "a network share" if folder.drive.startswith("\\\\") else ""
    with suppress(OSError):  # no Linux
        kind = kind or network_of(folder.resolve(), _MOUNTS.read_text(encoding="utf-8", errors="replace"))
    if kind and str(folder) not in _warned:
        _warned.add(str(folder))
        warn(
            f"the cache directory {folder.parent} is on {kind}, where locks are not sure to hold: several processes at "
            "once may lose what they store. Name a local one with SQLCACHE_NB_DIR",
            StoreWarning,
        )


def network_of(folder: Path, mounts: str) -> str:
    """The kind of file system of a folder, if its files are on another machine, else "".

    Args:
        folder: without links.
        mounts: as Linux words them (https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html).

    Example:
        >>> network_of(Path("/home/ann/x"), "36 35 98:0 / /home rw - nfs4 server:/home rw")
        'nfs4'
    """
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after.strip():
            continue
        point = Path(words[4].replace("\\040", " "))
        if folder.is_relative_to(point) and len(point.parts) >= best:  # a later mount hides an earlier one
            best, kind = len(point.parts), after.split()[0]
    return kind if _NETWORK.fullmatch(kind) else ""


def is_real_folder(path: Path) -> bool:
    """Whether there is a folder, and not a link to one.

    Args:
        path: where it may be.
    """
    with suppress(OSError):
        return stat.S_ISDIR(os.lstat(path).st_mode)
    return False


def is_writable(folder: Path) -> bool:
    """Whether this process may write to the folder and its database, as far as modes tell.

    Args:
        folder: the layout's own folder.
    """
    effective = os.access in os.supports_effective_ids
    return all(os.access(path, os.W_OK, effective_ids=effective) for path in (folder, folder / DATABASE))


def says_read_only(folder: Path) -> bool:
    """Whether the database's header says that it is not to be written to, which ours never do.

    Args:
        folder: the layout's own folder.
    """
    with open(folder / DATABASE, "rb") as file:
        header = file.read(20)
    return header[18:19] not in (b"\1", b"\2")


def set_aside(folder: Path, now: datetime | None = None) -> Path:
    """Take a damaged database away, so that the store can begin anew; gives where it is now.

    Args:
        folder: the layout's own folder.
        now: the time, with a zone, for its name.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = folder / f"{_ASIDE}{moment}"
    for end in BESIDE:  # first: SQLite would play an old log into a new database
        with suppress(FileNotFoundError):
            os.replace(folder / f"{DATABASE}{end}", f"{aside}{end}")
    os.replace(folder / DATABASE, aside)
    return aside


def is_own_file(name: str) -> bool:
    """Whether a file of this name beside the payloads' folders is one that a store makes.

    Args:
        name: its name in the layout's own folder.

    Example:
        >>> is_own_file("cache.db-wal"), is_own_file("thesis.txt")
        (True, False)
    """
    return _OWN_FILE.fullmatch(name) is not None


def is_set_aside(name: str) -> bool:
    """Whether a file of this name is a database that was damaged.

    Args:
        name: its name in the layout's own folder.
    """
    return name.startswith(_ASIDE)


_OWN_FILE = re.compile(
    rf"{re.escape(DATABASE)}(?:-wal|-shm|-journal)?|{STAMP}|{SPOOL}.*|{re.escape(_ASIDE)}.*|ledger\.db(?:-journal)?"
)
