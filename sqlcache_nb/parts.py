"""The named parts of a question, item by item: comparable by digest, and readable where that is wanted.

They are made when nothing was found, and kept with the answer, so that a later miss can be explained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

from sqlcache_nb.key import encode
from sqlcache_nb.redaction import is_secret, redact

HIDDEN = "***"
"""What stands for a value that is a secret by its name."""

# Names of parameters and settings that hold a secret often enough not to be shown.
_OFTEN_SECRET = re.compile(
    r"(?<![a-z])(?:auth|authorization|bearer|claims|jwt|key|pin)(?![a-z])", re.IGNORECASE
)
_LONGEST = 200  # characters of a text
_MOST = 20  # values of a list that are written out


class Item(NamedTuple):
    """One named value of a question.

    Args:
        digest: the first 16 hex digits of the sha256 of its canonical bytes.
        kind: "a date", for a parameter that is not None; "" where only the digest is kept.
        text: the value for a person, without secrets; "" where only the digest is kept.
    """

    digest: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as far as it is kept with its answer, to be compared with another one.

    Args:
        kind: "string", "text" or "select".
        sql: the statement as a person reads it, without secrets.
        parts: digest of each named part of the key.
        items: the values in these parts, by "part.name".
    """

    kind: str
    sql: str
    parts: Mapping[str, str]
    items: Mapping[str, Item]


def likeness(sql: str) -> str:
    """A digest that statements share which differ by white space and case at most.

    Args:
        sql: the statement as a person reads it.

    Example:
        >>> likeness("SELECT 1") == likeness(" select  1 "), likeness("select 1") == likeness("select 2")
        (True, False)
    """
    return sha256(encode(" ".join(sql.split()).casefold())).hexdigest()[:32]


ADDRESS = "address"
"""The item that tells where a connection leads as far as it says so itself: not what it was asked."""


def address_item(parts: Mapping[str, Any] | None) -> dict[str, Item]:
    """The item of an address, by its name; nothing where there is none.

    Args:
        parts: what the connection itself tells, as it would go into a key.
    """
    return {} if parts is None else {ADDRESS: _item(ADDRESS, parts, "", "")}


def items_of(parts: Mapping[str, Any], given: object = None, *, store_params: bool = True) -> dict[str, Item]:
    """The values in the parts of a key, by "part.name"; what was not given has no item.

    Args:
        parts: what the key was made of: canonical bytes of all of it are known to exist.
        given: the parameters as a person gave them, None where they are those of the parts.
        store_params: whether the values of parameters may be read, and not only compared.

    Example:
        >>> items_of({"parameters": [{"n": 5}, ()]})["parameters.n"].text
        '5'
    """
    items = {}
    bound, _ = parts.get("parameters", (None, ()))
    adapted, readable = _parameters(bound), _parameters(bound if given is None else given)
    for (name, value), (_, shown) in zip(
        adapted, readable, strict=False
    ):  # a lone value may be adapted to a list
        kind, text = (_kind(shown), _text(shown, quoted=True)) if store_params else ("", "")
        items[f"parameters.{name}"] = _item(name, value, kind, text)
    for part, values in {
        "source": _nested(parts.get("source", {}), everywhere=True),
        "options": _nested(parts.get("options", {})),
        "result types": _columns(parts.get("result types", ())),
        "environment": _nested(parts.get("environment", {})),
    }.items():
        for name, value in values:
            shown = value[0][0].rpartition(".")[2] if part == "result types" else _text(value)
            items[f"{part}.{name}"] = _item(name, value, "", shown)
    return items


def _item(name: str, value: object, kind: str, text: str) -> Item:
    if text:
        text = HIDDEN if is_secret(name) or _OFTEN_SECRET.search(name) else _shortened(redact(text))
    return Item(sha256(encode(value)).hexdigest()[:16], kind, text)


def _parameters(params: Any) -> Iterator[tuple[str, object]]:
    """Bound values by name, or numbered from 1."""
    if isinstance(params, Mapping):
        yield from ((str(name), value) for name, value in params.items())
    elif params is not None:
        values = params if isinstance(params, list | tuple) else [params]
        yield from ((str(position), value) for position, value in enumerate(values, 1))


_NESTS = frozenset({"execution", "options"})


def _nested(
    values: Mapping[str, Any], path: str = "", *, everywhere: bool = False
) -> Iterator[tuple[str, Any]]:
    """What was given, that inside of mappings as "outer.name"; a mapping of dtypes is one value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and (everywhere or name in _NESTS):
            yield from _nested(value, f"{path}{name}.", everywhere=everywhere)
        elif value is not None and not (isinstance(value, str | tuple | list) and not value):
            yield f"{path}{name}", value


def _columns(types: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each column's result type; columns of one name are numbered."""
    seen: dict[str, int] = {}
    for name, kinds in types:
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", kinds


_NAMES = {"str": "string", "bool": "boolean"}


def _kind(value: object) -> str:
    """What a value is, for a sentence."""
    if value is None:
        return ""
    kind = type(value)
    name, home = kind.__name__, kind.__module__.partition(".")[0]
    name = f"{home}.{name}" if home in {"numpy", "pandas"} else _NAMES.get(name, name)
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"


def _text(value: Any, *, quoted: bool = False) -> str:
    """A value for a person, before secrets are taken out of it.

    Args:
        value: the value.
        quoted: whether texts stand in quotes, as among values of other types they must.
    """
    if isinstance(value, str):
        return repr(str(value)) if quoted else value
    if isinstance(value, Mapping):
        pairs = [f"{key}: {_text(each, quoted=quoted)}" for key, each in _few(value.items())]
        return _listed(pairs, len(value), "{}")
    if isinstance(value, list | tuple):
        if len(value) == 1 and not quoted:
            return _text(value[0])
        return _listed([_text(each, quoted=quoted) for each in _few(value)], len(value), "[]")
    if isinstance(value, set | frozenset):  # in no order of their own
        texts = sorted(_text(each, quoted=quoted) for each in value)
        return _listed(texts[:_MOST], len(value), "{}")
    if isinstance(value, bytes | bytearray | memoryview):
        return repr(bytes(value[:_LONGEST]))
    return value.__qualname__ if isinstance(value, type) else str(value)


def _few(values: Iterable[Any]) -> Iterator[Any]:
    return islice(values, _MOST)


def _listed(texts: list[str], number: int, brackets: str) -> str:
    inside = ", ".join(texts) if number <= len(texts) else f"{', '.join(texts[:3])}, … {number:,} values"
    return f"{brackets[0]}{inside}{brackets[1]}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
