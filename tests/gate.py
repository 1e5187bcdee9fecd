"""What the queries of an engine meet: it counts them, and may hold them up."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import Engine, event

QUERY = "select * from sales"


class Gate:
    """A gate before each query of an engine.

    Args:
        engine: the engine; its other statements pass.
    """

    def __init__(self, engine: Engine) -> None:
        self.count = 0
        self.came = threading.Semaphore(0)
        self.open = threading.Event()
        self.meet: Callable[[], object] = self.open.wait
        """What each query does before it goes on."""
        event.listen(engine, "before_cursor_execute", self._pass)

    def _pass(self, _con: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(QUERY):
            self.count += 1
            self.came.release()
            assert self.meet() is not False
