"""The nearest name, for an error that says what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """The end of a sentence that proposes the name nearest to `word`, or nothing.

    Args:
        word: what was typed.
        names: what could have been typed.

    Example:
        >>> did_you_mean("--refesh", ["--ttl", "--refresh"])
        ' (did you mean --refresh?)'
    """
    near = nearest(word, names)
    return f" (did you mean {near}?)" if near else ""


def nearest(word: str, names: Iterable[str], likeness: float = 0.6) -> str | None:
    """The name nearest to a word, or None where all are too far.

    Args:
        word: what was typed.
        names: what could have been typed.
        likeness: of 1, how much the two have in common at least.

    Example:
        >>> nearest("lst", ["list", "info"])
        'list'
    """
    return next(iter(get_close_matches(word, sorted(set(names)), n=1, cutoff=likeness)), None)
