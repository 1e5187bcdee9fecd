"""What the magic shows beside frames: quiet notes, and tables of entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from IPython.display import display

from sqlcache_nb import notes, phrases, quantities, reasons
from sqlcache_nb.lifetime import Until

if TYPE_CHECKING:
    from pandas import DataFrame

    from sqlcache_nb.entry import Entry
    from sqlcache_nb.ledger import Stats
    from sqlcache_nb.lifetime import Lifetime
    from sqlcache_nb.stores import Tally

_publish: Callable[[object], object] = display
_DAYS = 7  # of the history

HELP = """\
%%cachedsql [CON] [NAME <<] [options]      SQL below; :name is bound from the notebook's variables
%cachedsql [CON] [options] SELECT ...      the same on one line: df = %cachedsql SELECT ...

CON        a variable with an engine, connection or session, a URL, or an alias; without it the last one used
NAME <<    keep the frame in this variable and show nothing
--ttl TIME       how long an answer is fresh: 30m, 1h, 7d, today, session, forever
--refresh        ask the database again and replace what is stored
--no-store       neither read nor write the cache      --offline  never ask the database; any age will do
--stale-while-revalidate TIME   so long show a stale answer at once, and fetch it anew in the background
--stale-if-error TIME           so long show a stale answer where the database is out of reach
--validate V     auto, true, false, a validator's name, or SQL in quotes: "select max(updated_at) from t"
--name N         a name of yours for the entry         --tag T   a label to list and clear by
--params DICT    take :name from this dict             --quiet   no line about where the result came from
--store-random   keep an answer that is left to chance, random() or a sample, too
--pin            freeze the answer: never evicted, a hit at any age, until it is unpinned or refreshed
--write          let the statement change the database

Several statements, with ; between, run in their order: each result is shown, the last may be cached.

%cachedsql list                            all entries
%cachedsql info KEY                        everything about one entry; a key may be cut short
%cachedsql clear --all                     delete; or --key, --name, --tag, --table, --source, --older-than,
                                           --unused-for 30d, --unpinned-only; --dry-run says what would go
%cachedsql pin KEY, unpin KEY              freeze an entry, never evicted, a hit at any age; or end that
%cachedsql invalidate                      keep, and ask again: what this kernel has used; or a KEY, --all,
                                           --name, --tag, --table, --source
%cachedsql why [CON] [options] SELECT ...  hit, miss, stale or refused, and why; or %%cachedsql why, SQL below
%cachedsql stats                           how much is stored, how much time it saved
%cachedsql check [--repair]                what is damaged, missing or left over; and delete it
%cachedsql connect ALIAS URL_OR_VARIABLE   a short name; $ENV in a URL is expanded, so no password is typed"""


class Note:
    """Text beside the results: plain in a terminal, small and grey in a browser.

    Args:
        text: one line or several.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """IPython's hook for browsers."""
        style = "color: #808080; font-size: smaller; white-space: pre-wrap"
        if "\n" in self.text:
            style += "; font-family: monospace"
        return f'<div style="{style}">{escape(self.text)}</div>'


def show(text: str) -> None:
    """Show a note now, before the cell's value.

    Args:
        text: one line or several.
    """
    _publish(Note(text))


def show_frame(frame: DataFrame) -> None:
    """Show a frame now, before the cell's value.

    Args:
        frame: the answer to one of several statements.
    """
    _publish(frame)


def entries_table(entries: DataFrame, now: datetime) -> DataFrame:
    """`QueryCache.entries()` for a person: short keys, sizes and times in words.

    Args:
        entries: the stored facts, one row for each entry.
        now: the time, with a zone.
    """
    from pandas import DataFrame

    fetched = [when.to_pydatetime() for when in entries["fetched_at"]]
    shapes = zip(entries["rows"], entries["columns"], strict=True)
    columns: dict[str, list[str]] = {
        "key": list(map(phrases.short_key, entries["key"])),
        "name": [name if isinstance(name, str) else "" for name in entries["name"]],
        "tags": list(entries["tags"]),
        "source": list(entries["source"]),
        "sql": [phrases.shortened(sql) for sql in entries["sql"]],
        "shape": [quantities.shape(*pair) for pair in shapes],
        "size": [quantities.size(number) for number in entries["bytes"]],
        "fetched": [quantities.moment(when) for when in fetched],
        "age": [quantities.age((now - when).total_seconds()) for when in fetched],
        "ttl": [_ttl(ttl) for ttl in entries["ttl"]],
        "used": [quantities.ago((now - when.to_pydatetime()).total_seconds()) for when in entries["used_at"]],
        "took": [quantities.duration(seconds) for seconds in entries["elapsed"]],
        "pinned": ["pinned" if pinned else "" for pinned in entries["pinned"]],
    }
    return DataFrame(columns)


def entry_text(
    entry: Entry,
    now: datetime,
    default_ttl: Lifetime | None,
    last_used: datetime,
    previous: Entry | None = None,
) -> str:
    """Everything about one entry, a fact a line.

    Args:
        entry: the facts.
        now: the time, with a zone.
        default_ttl: the time to live of entries that were stored without one, None where nobody has said.
        last_used: when it was last used or fetched, with a zone.
        previous: the facts of the answer that it replaced, if that is kept.
    """
    provenance = entry.provenance
    facts = {
        "key": entry.key,
        "name": entry.name or "",
        "tags": ", ".join(entry.tags),
        "source": f"{provenance.source} ({provenance.dialect})" if provenance.dialect else provenance.source,
        "tables": ", ".join(provenance.tables),
        "params": ", ".join(f":{name} = {value}" for name, value in provenance.params.items()),
        "fetched": quantities.moment_and_age(provenance.fetched_at, now),
        "validated": _validated(entry, now),
        "used": quantities.moment_and_age(last_used, now),
        "took": quantities.duration(provenance.elapsed),
        "shape": quantities.shape(provenance.rows, provenance.columns),
        "chunks": "" if provenance.chunks is None else f"{provenance.chunks:,}",
        "size": quantities.size(entry.bytes),
        "fresh": reasons.fresh_while(entry, default_ttl=default_ttl, now=now),
        "replaced": notes.replaced(previous, now),
        "validators": ", ".join(sorted(map(_validator, entry.tokens))),
        "checksum": entry.checksum,
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
    }
    return f"{_aligned(facts)}\n\n{provenance.sql}"


def stats_text(stats: Stats) -> str:
    """What the cache holds, what it has done in this process, and in all kernels.

    Args:
        stats: what `QueryCache.stats` returned.
    """
    stored = notes.stored(stats.entries, stats.bytes, stats.elapsed, stats.sources)
    since = f", since {min(stats.days)}" if stats.days else ""
    facts = {
        "stored": f"{stored}, {stats.pinned:,} pinned" if stats.pinned else stored,
        "size limit": quantities.size(stats.size_limit),
        "this session": _tally_text(stats),
        "all sessions": f"{_tally_text(stats.total)}{since}",
    }
    latest = list(stats.days.items())[-_DAYS:]
    return _aligned(facts | {str(day): _tally_text(tally) for day, tally in reversed(latest)})


def _ttl(ttl: Any) -> str:
    """A time to live as one may give it; "" where none was given, which pandas may have made NaN of."""
    if isinstance(ttl, str):
        return str(Until(ttl))
    if ttl is None or math.isnan(ttl):
        return ""
    return "forever" if ttl == math.inf else quantities.duration(ttl)


def _validator(name: str) -> str:
    """A validator's name for a person: that of his own SQL is a digest."""
    return "SQL of your own" if name.startswith("sql:") else name


def _validated(entry: Entry, now: datetime) -> str:
    return "" if entry.validated_at is None else quantities.moment_and_age(entry.validated_at, now)


def _tally_text(tally: Stats | Tally) -> str:
    told = notes.outcomes(tally.hits, tally.misses, tally.refreshed, tally.bypassed)
    return told + notes.saved(tally.saved, tally.saved_bytes)


def _aligned(facts: Mapping[str, str]) -> str:
    """`label  value` lines; what is not known has no line."""
    known = {label: value for label, value in facts.items() if value}
    width = max(map(len, known), default=0)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in known.items())
