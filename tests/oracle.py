"""What every test's cache is held against when the test is over."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import xxhash


def inconsistencies(directory: Path) -> list[str]:
    """What is wrong in a cache directory: rows without their payload, payloads without their row.

    Written against the format and not with the library's own code, so that one can find the other out.
    """
    folder = directory / "v1"
    if not (folder / "cache.db").exists():
        return []
    with closing(sqlite3.connect(folder / "cache.db")) as con:
        rows = con.execute("SELECT key, raw, size, mode, filename, value, expire_time FROM Cache").fetchall()
        ((integrity,),) = con.execute("PRAGMA integrity_check").fetchall()
        settings = dict(con.execute("SELECT key, value FROM Settings").fetchall())
    found = [] if integrity == "ok" else [f"cache.db: {integrity}"]
    current = {(key, raw) for key, raw, *_ in rows}
    for key, raw, size, mode, filename, value, expire_time in rows:
        path = folder / filename
        entry = json.loads(value)
        if raw not in (1, -1) or (mode, expire_time) != (2, None):
            found.append(f"{key}: raw {raw}, mode {mode}, expire_time {expire_time}")
        if raw == -1 and ((key, 1) not in current or entry["pinned"]):
            found.append(f"{key}: a previous version of nothing, or pinned")
        if entry["provenance"]["key"] != key:
            found.append(f"{key}: the entry is of {entry['provenance']['key']}")
        if not path.exists():
            found.append(f"{key}: no payload")
            continue
        payload = path.read_bytes()
        if not len(payload) == size == entry["bytes"]:
            found.append(f"{key}: {len(payload)} bytes, row {size}, entry {entry['bytes']}")
        if xxhash.xxh3_128_hexdigest(payload) != entry["checksum"]:
            found.append(f"{key}: checksum")
    orphans = set(folder.rglob("*.parquet")) - {folder / row[4] for row in rows}
    found += [f"orphan {path.name}" for path in orphans]
    if (settings["eviction_policy"], settings["cull_limit"], settings["statistics"]) != ("none", 0, 0):
        found.append(f"settings {settings}")
    return found
