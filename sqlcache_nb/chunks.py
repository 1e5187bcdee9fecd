"""Answers in chunks: recorded while they are handed out, and read back one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlcache_nb.caller import as_if_called_outside
from sqlcache_nb.errors import NotCacheable, StoreError

if TYPE_CHECKING:
    import pandas as pd

    from sqlcache_nb.codec import ChunkWriter, Payload
    from sqlcache_nb.stores import Store


def started(chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """A generator after its first step, which gives None: from there on, closing it releases what it holds.

    Args:
        chunks: a generator that has not begun, whose end would never come if nobody began it.
    """
    next(chunks)
    return chunks


def timed(chunks: Iterator[pd.DataFrame]) -> Iterator[tuple[pd.DataFrame, float]]:
    """Each chunk, with the seconds that it took to come."""
    begun = time.perf_counter()
    while (chunk := as_if_called_outside(next, chunks, None)) is not None:
        yield chunk, time.perf_counter() - begun
        begun = time.perf_counter()


def read_back(payload: Payload) -> Generator[Any, None, None]:
    """Nothing, to be `started`, and then the chunks of a stored answer; its file is released at the end.

    Args:
        payload: a file of chunks.

    Raises:
        CodecError: a chunk cannot be decoded.
    """
    with closing(payload):
        yield None
        yield from payload.chunks()


class Recording:
    """The chunks of one answer on their way into a store: nothing is stored before the last one.

    Args:
        opened: gives the store.
    """

    def __init__(self, opened: Callable[[], Store]) -> None:
        self._opened = opened
        self._writer: ChunkWriter | None = None
        self.shape = (0, 0)
        """Rows of all chunks together, and columns of each."""
        self.chunks = 0
        """How many chunks."""

    def add(self, chunk: pd.DataFrame) -> int:
        """Write the next chunk, and say how many bytes were written so far.

        Raises:
            NotCacheable: it would not come back exactly; names the column and why.
            StoreError: it cannot be written.
        """
        from sqlcache_nb.codec import ChunkWriter

        with self._faults():
            if self._writer is None:
                self._writer = ChunkWriter(self._opened().spool)
            self._writer.add(chunk)
        self.shape = (self.shape[0] + len(chunk), chunk.shape[1])
        self.chunks += 1
        return self._writer.size

    def finish(self, provenance: str) -> BinaryIO:
        """The finished file, at its beginning.

        Args:
            provenance: JSON that explains a lone file.

        Raises:
            NotCacheable: the chunks would not come back exactly, or there are none.
            StoreError: it cannot be written.
        """
        if self._writer is None:
            raise NotCacheable("there are no chunks")
        with self._faults():
            return self._writer.finish(provenance)

    def close(self) -> None:
        """Release the file: what was not stored is gone."""
        if self._writer is not None:
            with suppress(OSError):  # of a full disk, which was said
                self._writer.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            told = fault.strerror or str(fault)
            raise StoreError(f"chunks cannot be stored ({told}); they are handed out all the same") from fault
