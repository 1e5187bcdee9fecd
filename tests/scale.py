"""How long the long tests are: one variable in the environment scales them all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SCALE = float(os.environ.get("SQLCACHE_NB_SCALE", "0.02"))
"""1 is as long as it gets."""


def scaled(number: int) -> int:
    """How many of so many are to be done, and one at least."""
    return max(1, round(number * SCALE))


def folder_in_memory() -> Path:
    """A new folder where a sync costs nothing, if there is such a place; who asks removes it."""
    shared = Path("/dev/shm")  # Linux
    return Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None))
