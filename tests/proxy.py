"""A way to a server that can be cut: it refuses, drops, hangs, closes one half, and comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import make_url

from tests.tunnel import Tunnel


class Proxy(Tunnel):
    """A TCP port of this machine in front of a server's Unix socket.

    Args:
        target: path of the server's socket.
    """

    def __init__(self, target: str) -> None:
        self._hangs = threading.Event()
        self.traffic = 0
        """How often something came from somebody, in either direction."""
        super().__init__()
        self.target = target

    def drop(self) -> None:
        """Cut off all who are connected; who comes next is let through."""
        self.lead(self.target)

    def refuse(self) -> None:
        """Cut off all who are connected, and refuse who comes next: nobody listens at the port."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        self.drop()

    def hang(self) -> None:
        """Take what comes, of old connections and new ones, and never answer."""
        self._hangs.set()

    def half_close(self) -> None:
        """Say to all who are connected that nothing more will come, and go on reading what they send."""
        self._hangs.set()
        for near in self._open[::2]:
            with suppress(OSError):
                near.shutdown(socket.SHUT_WR)

    def come_back(self) -> None:
        """Be at the port again, and let through who comes; who was connected in between is cut off."""
        self._hangs.clear()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._threads[0] = threading.Thread(target=self._accept, daemon=True)
            self._threads[0].start()
        self.drop()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.traffic += 1
                if not self._hangs.is_set():
                    target.sendall(data)
        if not self._hangs.is_set():
            for each in (source, target):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def in_front_of(url: str) -> Iterator[Proxy]:
    """A proxy in front of one of the tests' own servers.

    Args:
        url: that of the server, which names its Unix socket.
    """
    query = make_url(url).query
    if path := query.get("unix_socket"):
        target = str(path)
    elif str(folder := query.get("host", "")).startswith("/"):
        target = f"{folder}/.s.PGSQL.5432"
    else:
        pytest.skip("the server is none of the tests' own, and has no Unix socket here")
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.come_back()
        proxy.close()
