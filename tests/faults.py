"""Faults of places, made with what the system has: another user, other rows, a small disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlcache_nb.stores import Store, Stored

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
"""For processes that import what the tests import."""


def change_row(directory: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con, con:
        return con.execute(statement, values).fetchall()


def filename_of(stored: Stored, directory: Path) -> str:
    return stored.path.relative_to(directory / "v1").as_posix()


@contextmanager
def as_nobody(directory: Path) -> Iterator[None]:
    """For as long as it lasts this process may do what any user may: root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    for folder in directory.parents:  # the way to the directory must be open to others
        if folder.stat().st_uid == 0 and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o055)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def run(code: str, *arguments: object, wrapped: tuple[str, ...] = ()) -> str:
    """What a program of a few lines prints, in a process of its own; its warnings are errors."""
    command = [*wrapped, sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def mounted(options: str, folder: Path) -> tuple[str, ...]:
    """A command in front of another one, which then sees a disk of its own at this folder."""
    script = 'mount $1 none "$2" && shift 2 && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", options, str(folder))


def can_mount(folder: Path) -> bool:
    """Whether `mounted` works here: it needs Linux, and a system that lets us."""
    try:
        done = subprocess.run(
            [*mounted("-ttmpfs", folder), "true"], capture_output=True, check=False, env=ENVIRONMENT
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


def rows_of(store: Store, *keys: str) -> list[Stored]:
    """The rows of some keys, those left out that have none."""
    return [row for key in keys if (row := store.lookup(key)) is not None]
