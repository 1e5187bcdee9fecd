"""What all sentences about an answer are made of: its key cut short, when it was fetched, everything on one line."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlcache_nb import quantities

if TYPE_CHECKING:
    from sqlcache_nb.entry import Entry

_KEY_LENGTH = 8
_LONGEST_SQL = 60


def short_key(key: str) -> str:
    """As much of a key as is shown; `info` and the like accept it.

    Args:
        key: the whole one.

    Example:
        >>> short_key("ab12cd34" * 8)
        'ab12cd34'
    """
    return key[:_KEY_LENGTH]


def fetched(entry: Entry, now: datetime) -> str:
    """When an answer was fetched, and how long ago that was.

    Args:
        entry: the stored facts.
        now: the time, with a zone.
    """
    return f"fetched {quantities.moment_and_age(entry.provenance.fetched_at, now)}"


def joined(*parts: str) -> str:
    """The parts of a line, those left out that say nothing.

    Args:
        parts: in their order.

    Example:
        >>> joined("hit", "", "flights.db")
        'hit · flights.db'
    """
    return " · ".join(filter(None, parts))


def one_line(text: str) -> str:
    r"""A text with its line breaks and other runs of white space as single spaces.

    Args:
        text: of any number of lines.

    Example:
        >>> one_line("said in\n  two lines")
        'said in two lines'
    """
    return " ".join(text.split())


def shortened(sql: str) -> str:
    r"""A statement on one line, cut short.

    Args:
        sql: the statement, without secrets.

    Example:
        >>> shortened("select *\n  from flights")
        'select * from flights'
    """
    line = one_line(sql)
    return line if len(line) <= _LONGEST_SQL else f"{line[: _LONGEST_SQL - 4]} ..."
