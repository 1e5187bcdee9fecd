"""Parts of a question that stay as they are: their canonical bytes are computed once (`key.encode`)."""

from __future__ import annotations


class ConstantDict(dict[str, object]):
    """A dict that nobody changes any more, nor what is in it; its bytes are those of a dict."""

    __slots__ = ("encoded",)
    encoded: bytes


class ConstantList(list[object]):
    """A list that nobody changes any more, nor what is in it; its bytes are those of a list."""

    __slots__ = ("encoded",)
    encoded: bytes
