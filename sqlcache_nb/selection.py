"""Which entries are meant: those that fit every filter given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlcache_nb.errors import EntryNotFound

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry


@dataclass(frozen=True, slots=True)
class Selection:
    """Filters over entries; one that is None lets everything through.

    Args:
        key: a key or a unique prefix of one.
        name: a name.
        tag: a tag, or `table:orders`.
        table: a table that the statement names; case, quotes and schema do not matter.
        source: a database's label.
        older_than: seconds since the fetch that must have passed.
        unused_for: seconds since the last use or fetch that must have passed.
        unpinned_only: whether pinned entries are left out.

    Example:
        >>> Selection(tag="daily") == Selection()
        False
    """

    key: str | None = None
    name: str | None = None
    tag: str | None = None
    table: str | None = None
    source: str | None = None
    older_than: float | None = None
    unused_for: float | None = None
    unpinned_only: bool = False

    def fits(self, entry: Entry, age: Callable[[Entry], float], idle: Callable[[Entry], float]) -> bool:
        """Whether an entry fits every filter but the key's, which is unique among all.

        Args:
            entry: the stored facts.
            age: seconds since an entry was fetched.
            idle: seconds since an entry was last fetched or used.
        """
        return (
            not (self.unpinned_only and entry.pinned)
            and self.name in (None, entry.name)
            and (self.tag is None or entry.has_label(self.tag))
            and (self.table is None or entry.reads(self.table))
            and self.source in (None, entry.provenance.source)
            and (self.older_than is None or age(entry) > self.older_than)
            and (self.unused_for is None or idle(entry) > self.unused_for)
        )


def only_one(keys: list[str], prefix: str, noun: str = "key") -> str:
    """The one key that begins so.

    Args:
        keys: those that are stored.
        prefix: its beginning, as a person typed it.
        noun: what the prefix was taken for.

    Raises:
        EntryNotFound: there is none, or there are several.

    Example:
        >>> only_one(["ab12", "cd34"], "cd")
        'cd34'
    """
    fitting = [key for key in keys if prefix and key.startswith(prefix)]
    if len(fitting) == 1:
        return fitting[0]
    told = f"{len(fitting)} entries have keys that begin with" if fitting else f"no entry has the {noun}"
    raise EntryNotFound(f"{told} {prefix!r}: list what is stored")
