"""Frames as Parquet, natural first: real names, native types, readable by every other tool.

What Parquet does not carry (labels, index, tz objects, string storage, objects of odd types) is restored from
one JSON key of the file's metadata. What is not known to come back exactly is refused.

The rooms, top to bottom: `outlines` (what a file says without its data), `writer` and `payload` (files), `frames` (a whole frame), `indexes` (the index),
`columns` (by dtype), `objects` (by the type of every cell), `values`, `cells` and `drivers` (one cell), `zones`.
"""

from __future__ import annotations

from sqlcache_nb.codec.outlines import content_of, outline_of
from sqlcache_nb.codec.payload import Payload, decode
from sqlcache_nb.codec.writer import FORMAT, ChunkWriter, encode

__all__ = ["FORMAT", "ChunkWriter", "Payload", "content_of", "decode", "encode", "outline_of"]
