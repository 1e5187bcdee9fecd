"""The validator of database files: a token of the file itself, in microseconds, without a connection."""

from __future__ import annotations

from sqlcache_nb.freshness import FILE, Strength
from sqlcache_nb.identity import FILE_DIALECTS
from sqlcache_nb.sources import files
from sqlcache_nb.validators import Probe


class FileValidator:
    """Tells by the file's own header, size and times, and those of its log (`sources.files`)."""

    name = FILE
    strength = Strength.EXACT
    dialects = FILE_DIALECTS
    wants_tables = False

    def token(self, probe: Probe) -> str | None:
        """The token of the files; "" where they cannot be read, which is never "unchanged".

        Args:
            probe: which files.
        """
        return files.token(probe.identity.dialect, probe.identity.files) or ""
