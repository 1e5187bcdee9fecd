"""How does an answer differ from the one that it replaces? Pure: by their outlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Outline(NamedTuple):
    """What is known of an answer without its data.

    Args:
        rows: how many.
        columns: label and dtype of each column, those of the index among them; a label may come twice.
    """

    rows: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """How an answer differs from the one that it replaced.

    Args:
        rows: how many rows were gained; less than nothing where some were lost.
        added: labels of new columns, in their order.
        removed: labels of columns that are gone, in the order that they had.
        retyped: by label, the dtype before and after of columns whose dtype is another one.
        same: whether the two are known to be the same answer, cell by cell. False where they are not, or where
            nobody has looked.

    Example:
        >>> compared(Outline(5, (("n", "int64"),)), Outline(3, (("n", "float64"), ("m", "object"))))
        Changes(rows=-2, added=('m',), removed=(), retyped={'n': ('int64', 'float64')}, same=False)
    """

    rows: int = 0
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    same: bool = False


UNCHANGED = Changes(same=True)
"""What is fetched is what was stored."""


def compared(before: Outline, after: Outline) -> Changes:
    """How an answer differs from an older one, as far as their outlines tell.

    Of columns with the same label, the first is compared with the first, the second with the second. The order of
    columns does not matter.

    Args:
        before: what is replaced.
        after: what replaces it.
    """
    old, new = dict(_numbered(before.columns)), dict(_numbered(after.columns))
    retyped = {label: (old[label], dtype) for label, dtype in new.items() if old.get(label, dtype) != dtype}
    return Changes(
        after.rows - before.rows,
        tuple(label for label, _ in new if (label, _) not in old),
        tuple(label for label, _ in old if (label, _) not in new),
        {_told(*label): dtypes for label, dtypes in retyped.items()},
    )


def _numbered(columns: Iterable[tuple[str, str]]) -> Iterator[tuple[tuple[str, int], str]]:
    """Each label with its number among those that are alike, from 1 on, and the dtype."""
    seen: Counter[str] = Counter()
    for label, dtype in columns:
        seen[label] += 1
        yield (label, seen[label]), dtype


def _told(label: str, number: int) -> str:
    return label if number == 1 else f"{label} ({number})"
