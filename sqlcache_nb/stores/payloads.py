"""The files in which payloads rest: their names, how they are written, read, found and taken away.

A payload is written under a fresh random name, in one of 256 folders, and is never changed. What is read is
verified before anybody gets to see it. No name leads out of the layout's folder, and no link is followed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import xxhash

from sqlcache_nb.stores import places

_BLOCK = 2**20
"""Bytes of a payload that are copied at once."""

_NAMES = 8
"""Names that are tried, where something else than a folder stands in the way."""

_FILENAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.parquet")
_FOLDER = re.compile(r"[0-9a-f]{2}")
# Neither a link is followed nor a pipe waited for; where a system lacks a flag, it is 0.
_READ = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOINHERIT")
)
# A place that cannot do it, rather than one that tried and failed.
_CANNOT_SYNC = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES}
)


def is_name(filename: str) -> bool:
    """Whether a row's file name is one that this module makes: none of those leaves the folder.

    Args:
        filename: what the row says.

    Example:
        >>> is_name("ab/" + "0" * 30 + ".parquet"), is_name("../../secret")
        (True, False)
    """
    return _FILENAME.fullmatch(filename) is not None


def new_name(folder: Path) -> str:
    """A name that no payload has, whose folder is there.

    Args:
        folder: the layout's own folder.
    """
    for _ in range(_NAMES):
        name = secrets.token_hex(16)
        home = folder / name[:2]
        with suppress(FileExistsError):
            home.mkdir(mode=0o700)
            _sync_folder(folder)
        if places.is_real_folder(home):
            return f"{name[:2]}/{name[2:]}.parquet"
    raise NotADirectoryError(errno.ENOTDIR, "something else is in the place of its folders")


def write(payload: memoryview | BinaryIO, path: Path) -> tuple[str, int]:
    """Write a payload to a new file that its owner alone can read, to stay there when the power fails.

    Where it cannot be written whole, nothing is left. Gives its checksum and size.

    Args:
        payload: the bytes; a file is read from its beginning, and stays open.
        path: where no file is yet.
    """
    try:
        checksum = xxhash.xxh3_128()
        with open(path, "xb", opener=_private) as file:  # Path.open has no opener
            for block in _blocks(payload):
                checksum.update(block)
                file.write(block)
            size = file.tell()
            file.flush()
            _sync(file.fileno())
        _sync_folder(path.parent)
    except BaseException:  # a full disk, or an interruption
        with suppress(OSError):  # what ended it is what is told
            path.unlink()
        raise
    return checksum.hexdigest(), size


def read(path: Path, checksum: str, size: int) -> bytes | None:
    """A payload, or None where it is missing or not what was written.

    Args:
        path: where it is.
        checksum: XXH3-128 of what was written, in hex.
        size: its bytes.
    """
    file = _opened(path, size)
    if file is None:
        return None
    with file:
        payload = file.read()
    return payload if xxhash.xxh3_128_hexdigest(payload) == checksum else None


def opened(path: Path, checksum: str, size: int) -> BinaryIO | None:
    """A payload as a file at its beginning, or None where it is missing or not what was written.

    Args:
        path: where it is.
        checksum: XXH3-128 of what was written, in hex.
        size: its bytes.
    """
    with ExitStack() as stack:
        raw = _opened(path, size)
        if raw is None:
            return None
        file = stack.enter_context(io.BufferedReader(raw))
        if hashlib.file_digest(file, xxhash.xxh3_128).hexdigest() != checksum:
            return None
        file.seek(0)
        stack.pop_all()
        return file


def remove(folder: Path, filename: str) -> None:
    """Delete a payload; what cannot be deleted now is left to the sweep.

    Its folder stays, since another process may be about to use it.

    Args:
        folder: the layout's own folder.
        filename: what a row says, which may be anything.
    """
    if is_name(filename) and places.is_real_folder(folder / filename[:2]):
        with suppress(OSError):  # Windows: somebody reads it
            (folder / filename).unlink()


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in the folder of a store.

    Args:
        payloads: the time of the last change of each payload's file, by its name.
        spools: names of payloads that were not finished.
        aside: names of databases that were damaged.
        foreign: names of what no store makes.
    """

    payloads: dict[str, float] = field(default_factory=dict)
    spools: dict[str, float] = field(default_factory=dict)
    aside: dict[str, float] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


def survey(folder: Path) -> Survey:
    """What is in the folder of a store; links are looked at and not followed.

    Args:
        folder: the layout's own folder.
    """
    found = Survey()
    with os.scandir(folder) as each_file:
        for each in each_file:
            if each.is_dir(follow_symlinks=False) and _FOLDER.fullmatch(each.name):
                _survey_payloads(each.name, each.path, found)
            elif each.name == places.LOCKS and each.is_dir(follow_symlinks=False):
                continue
            elif not each.is_file(follow_symlinks=False) or not places.is_own_file(each.name):
                found.foreign.append(each.name)
            elif each.name.startswith(places.SPOOL):
                _note(each, each.name, found.spools)
            elif places.is_set_aside(each.name):
                _note(each, each.name, found.aside)
    return found


def _survey_payloads(name: str, path: str, found: Survey) -> None:
    with os.scandir(path) as each_file:
        for each in each_file:
            filename = f"{name}/{each.name}"
            if is_name(filename) and each.is_file(follow_symlinks=False):
                _note(each, filename, found.payloads)
            else:
                found.foreign.append(filename)


def _note(each: os.DirEntry[str], name: str, times: dict[str, float]) -> None:
    with suppress(FileNotFoundError):  # gone meanwhile
        times[name] = each.stat(follow_symlinks=False).st_mtime


def _opened(path: Path, size: int) -> io.FileIO | None:
    """The file, if it is one and as long as it has to be: bytes are never looked for where none are."""
    try:
        descriptor = os.open(path, _READ)
    except OSError as fault:
        if fault.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EMLINK}:
            return None  # missing, or a link, or a socket
        raise
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
        os.close(descriptor)
        return None
    return io.FileIO(descriptor)


def _blocks(payload: memoryview | BinaryIO) -> Iterator[memoryview | bytes]:
    if isinstance(payload, memoryview):
        return (payload[start : start + _BLOCK] for start in range(0, len(payload), _BLOCK))
    payload.seek(0)
    return iter(partial(payload.read, _BLOCK), b"")


def _private(path: str, flags: int) -> int:
    """Opens a new file that its owner alone can read."""
    return os.open(path, flags, 0o600)


def _sync(descriptor: int) -> None:
    """Have the system write down what it was given, where the place can do that."""
    try:
        os.fsync(descriptor)
    except OSError as fault:
        if fault.errno not in _CANNOT_SYNC:
            raise


def _sync_folder(folder: Path) -> None:
    """The same with the names in a folder."""
    if os.name != "posix":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)
