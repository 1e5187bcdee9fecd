"""The words of a line that was typed, and the options among them.

The options are the fields of a dataclass: a field of type `bool` is a switch, one of type `tuple` may be given
several times, every other takes one value; one whose metadata say "bare" stands without an option's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlcache_nb.errors import ConfigError, NotebookError
from sqlcache_nb.lifetime import parse_age, parse_ttl, parse_window
from sqlcache_nb.notebook.hints import nearest
from sqlcache_nb.policy import Validate

OPTION = re.compile(r"--?[A-Za-z]")
"""How a word begins that is an option."""

FLAG = re.compile(r"--?[\w-]+")
"""An option's own letters, without a value."""

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")
_QUOTED = re.compile(r""""([^"]*)"|'([^']*)'""")
_TIMES = '"90s", "5m", "1h", "7d", "2w"'
_AGE = f'a time: {_TIMES} or "forever"'
_BOUNDED = f"a bounded time: {_TIMES}"
# What is accepted by the options that do not take any word.
_FORMS = {
    "ttl": f'a time: {_TIMES}, "today", "session" or "forever"',
    "older_than": _AGE,
    "unused_for": _AGE,
    "stale_while_revalidate": _BOUNDED,
    "stale_if_error": _BOUNDED,
    "validate": 'auto, true, false, SQL in quotes ("select max(updated_at) from t"), or the name of a validator',
}
_CHECKS: dict[str, Callable[[str], object]] = {
    "ttl": parse_ttl,
    "older_than": parse_age,
    "unused_for": parse_age,
    "stale_while_revalidate": lambda text: parse_window(text, ""),
    "stale_if_error": lambda text: parse_window(text, ""),
}
_VALIDATE: dict[str, Validate] = {"auto": "auto", "true": True, "false": False}


_BEGIN_QUERY = frozenset("from select show table values with".split())


class Word(NamedTuple):
    """One word of a line, without its quotes, and where it begins."""

    text: str
    start: int
    quoted: bool
    open: bool  # a quote in it has no end


def words_of(line: str) -> Iterator[Word]:
    """The words of a line; quotes hold one together, and a lone quote is a letter (passwords have them)."""
    for match in _WORD.finditer(line):
        text = _QUOTED.sub(lambda quoted: quoted[1] or quoted[2] or "", match[0])
        is_open = not {"'", '"'}.isdisjoint(_QUOTED.sub("", match[0]))
        yield Word(text, match.start(), text != match[0], is_open)


def take_options(
    words: Iterable[Word],
    form: type[Any],
    *,
    leading: bool = False,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, Any], list[Word]]:
    """The options among the words as fields of `form`, and the other words.

    Args:
        words: the words.
        form: the dataclass whose fields the options are.
        leading: whether options end at the first other word.
        values: options that were given before.
    """
    flags = flags_of(form)
    values = dict(values)
    rest: list[Word] = []
    queue = iter(words)
    for word in queue:
        if not OPTION.match(word.text):
            rest.append(word)
            if leading:
                break
            continue
        flag, equals, value = word.text.partition("=")
        if flag not in flags:
            raise NotebookError(_unknown(flag, flags))
        _set(values, flags[flag], flag, word._replace(text=value) if equals else None, queue)
    return values, [*rest, *queue]


def flags_of(form: type[Any]) -> dict[str, Field[Any]]:
    """The fields of `form` by the options as they are typed."""
    return {
        "--" + each.name.replace("_", "-"): each for each in fields(form) if not each.metadata.get("bare")
    }


def _set(
    values: dict[str, Any], option: Field[Any], flag: str, word: Word | None, queue: Iterator[Word]
) -> None:
    """Put one option into `values`, with its value from the word itself or from the next one."""
    if isinstance(option.default, bool):
        if word is not None:
            raise NotebookError(f"{flag} is a switch and takes no value")
        values[option.name] = True
        return
    if word is None:
        word = next(queue, None)
        if word is None or (OPTION.match(word.text) and not word.quoted):
            raise NotebookError(
                f"{flag} needs a value: {_FORMS.get(option.name, f'{flag} {option.name.upper()}')}"
            )
    if word.open:
        raise NotebookError(f"{flag}: a quote is not closed")
    value = _value(option.name, flag, word)
    if isinstance(option.default, tuple):
        values[option.name] = (*values.get(option.name, ()), value)
    elif option.name in values:
        raise NotebookError(f"{flag} is given twice")
    else:
        values[option.name] = value


def _value(name: str, flag: str, word: Word) -> Validate:
    """What was typed as an option's value."""
    value: Validate = word.text
    is_fault = False
    if name == "validate":
        value = _VALIDATE.get(word.text.strip().lower(), word.text)
        # SQL without its quotes is torn apart: one word of it is no name.
        is_fault = not word.text.strip() or (not word.quoted and word.text.lower() in _BEGIN_QUERY)
    elif name in _CHECKS:
        try:
            _CHECKS[name](word.text)
        except ConfigError:
            is_fault = True
    if is_fault:
        raise NotebookError(f"{flag} takes {_FORMS[name]}")
    return value


def _unknown(flag: str, flags: Iterable[str]) -> str:
    if flag in {"--help", "-h"}:
        return "%cachedsql help shows the options and the verbs"
    # The dashes are no likeness, and what follows a flag's own letters is not to be shown.
    near = nearest(flag.lstrip("-"), [known.lstrip("-") for known in flags])
    told = flag if FLAG.fullmatch(flag) else ""
    return f"unknown option {told}".rstrip() + (
        f" (did you mean --{near}?)" if near else f" (known: {', '.join(flags)})"
    )
