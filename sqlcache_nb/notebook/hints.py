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
    near = get_close_matches(word, sorted(set(names)), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
