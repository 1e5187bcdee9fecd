"""Why a question is answered as it is: what it asks otherwise than the nearest one that was stored.

Pure: from the parts of questions to words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from operator import itemgetter
from typing import Literal

from sqlcache_nb.entry import Entry
from sqlcache_nb.freshness import Reason
from sqlcache_nb.parts import Asked, Item

_PARTS = ("parameters", "source", "options", "result types", "environment")
_PLACES = "dialect host port database files name attached system_identifier database_oid".split()
_DATABASE = frozenset(f"source.{name}" for name in _PLACES)
_NAMES = {"source.files": "the file", "source.name": "source_name"}
_KINDS = {"string": "a string", "text": "text()", "select": "a select()"}
_NOTHING = "not given"
_LONGEST = 60  # characters of a value in a sentence
_CONTEXT = 12  # characters before the first that differs
_MOST = 3  # differences in one line
_TOKEN = re.compile(r"\w+|[^\w\s]")
_ALIKE = 0.6  # of the words, so that one statement is worth comparing with another
_COMPARED = 8  # statements in the order of their words; the others by what words they have


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a question asks otherwise than a stored one.

    Args:
        part: the part of the key: "statement", "parameters", "source", "options", "result types",
            "environment"; or "working directory".
        name: what of it: a parameter's name, "user", "index_col", "pandas"; "" where all of it is meant.
        was: the stored question's value for a person, "" where it is not kept.
        now: this question's.
        sentence: the same in words; `str()` gives it.
    """

    part: str
    name: str
    was: str
    now: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Nearest:
    """The stored question that is most like another one.

    Args:
        entry: its stored facts.
        differences: what the other one asks otherwise.
        same_database: whether both were put to one database, whoever asked.
    """

    entry: Entry
    differences: tuple[Difference, ...]
    same_database: bool

    def __str__(self) -> str:
        """The differences in words, the first three of them."""
        distinct = _told_once(self.differences)
        told = "; ".join(map(str, distinct[:_MOST]))
        if (more := len(distinct) - _MOST) > 0:
            told += f"; and {more} more"
        same = all(each.part != "statement" for each in self.differences)
        return f"same SQL, {told}" if same else told


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a question would be answered now, and why; `str()` gives it in words.

    Args:
        outcome: "hit", "miss", "stale" (an answer is stored, and may not be served) or "refused" (it would
            be run without the cache).
        reason: why, in short.
        sentence: why, in words.
        entry: the stored answer; for a miss, that to the question most like it; None where there is none.
        differences: for a miss, what this question asks otherwise than that one.

    Example:
        >>> from sqlcache_nb import default_cache
        >>> print(default_cache().why("select 1 as one", "sqlite://"))
        refused: an in-memory database has no identity
    """

    outcome: Literal["hit", "miss", "stale", "refused"]
    reason: Reason
    sentence: str
    entry: Entry | None = None
    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sentence}>"


def nearest(asked: Asked, entries: Iterable[Entry]) -> Nearest | None:
    """The stored question that is most like the one asked.

    Of the same database before all, then of the same SQL, then with the fewest differences, then the newest.

    Args:
        asked: the question.
        entries: stored answers that come into consideration.
    """
    compared = [
        Nearest(entry, differences(asked, entry), _is_same_database(asked, entry)) for entry in entries
    ]
    return max(compared, key=_rank, default=None)


def _rank(near: Nearest) -> tuple[object, ...]:
    same_sql = all(each.part != "statement" for each in near.differences)
    return near.same_database, same_sql, -len(near.differences), near.entry.provenance.fetched_at


def likely(asked: Asked, entries: Iterable[Entry]) -> list[Entry]:
    """Of stored answers to other statements, that to the statement most like the one asked, if one is like it.

    Args:
        asked: the question.
        entries: the stored answers.
    """
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(_TOKEN.findall(asked.sql))
    promising = []
    for entry in entries:
        matcher.set_seq1(words := _TOKEN.findall(entry.provenance.sql))
        if matcher.real_quick_ratio() > _ALIKE and (bound := matcher.quick_ratio()) > _ALIKE:
            promising.append((bound, words, entry))
    promising.sort(key=itemgetter(0), reverse=True)  # and stay the newest first where they share as many
    best, likeness = None, _ALIKE
    for bound, words, entry in promising[:_COMPARED]:
        if bound <= likeness:
            break
        matcher.set_seq1(words)
        if (ratio := matcher.ratio()) > likeness:
            best, likeness = entry, ratio
    return [] if best is None else [best]


def differences(asked: Asked, entry: Entry) -> tuple[Difference, ...]:
    """What a question asks otherwise than a stored one; nothing if and only if their keys are the same.

    Args:
        asked: the question.
        entry: the stored answer to another one.
    """
    was, found = entry.provenance, list[Difference]()
    for part in _PARTS:
        if asked.parts.get(part) != was.parts.get(part):
            names = [name for name in {**was.items, **asked.items} if name.startswith(f"{part}.")]
            changed = [_changed(name, was.items.get(name), asked.items.get(name)) for name in names]
            found += [each for each in changed if each is not None]
    if asked.parts.get("statement") != was.parts.get("statement"):
        found[:0] = _statement(asked, was.kind, was.sql, explained=bool(found))
    whole = [_whole(part) for part in _PARTS if asked.parts.get(part) != was.parts.get(part)]
    return tuple(found or whole)


def _told_once(differences: Iterable[Difference]) -> list[Difference]:
    """The differences without those of a source that say the same: a user is its session's user and role, too."""
    distinct: dict[tuple[str, ...], Difference] = {}
    for each in differences:
        is_named = each.part != "source"
        distinct.setdefault((each.part, each.name if is_named else "", each.was, each.now), each)
    return list(distinct.values())


def moved(was: str, now: str) -> Difference:
    """The difference between two working directories, in which one question reads other files.

    Args:
        was: where it was asked before.
        now: where it is asked.
    """
    return _difference("working directory", "", was, now, "the working directory")


def _is_same_database(asked: Asked, entry: Entry) -> bool:
    then = entry.provenance.items
    return all(_digest(asked.items.get(name)) == _digest(then.get(name)) for name in _DATABASE)


def _digest(item: Item | None) -> str | None:
    return None if item is None else item.digest


def _changed(path: str, was: Item | None, now: Item | None) -> Difference | None:
    """What became of one item, or None if it stayed."""
    if _digest(was) == _digest(now):
        return None
    part, _, name = path.partition(".")
    called = _called(part, name)
    name = name.rpartition(".")[2] if part in {"source", "options"} else name
    before = _NOTHING if was is None else was.text
    after = _NOTHING if now is None else now.text
    if was and now and was.kind and now.kind and was.kind != now.kind:
        return Difference(part, name, before, after, f"{called} was {was.kind}, is {now.kind}")
    return _difference(part, name, before, after, called)


def _called(part: str, name: str) -> str:
    """What an item is called in a sentence."""
    if part == "parameters":
        return f"parameter {name}" if name.isdecimal() else f":{name}"
    if part == "result types":
        return f"the type of column {name}"
    return _NAMES.get(f"{part}.{name}") or name.rpartition(".")[2]


def _difference(part: str, name: str, was: str, now: str, called: str) -> Difference:
    shown = _side_by_side(was, now)
    told = was and now and shown[0] != shown[1]
    sentence = f"{called} was {shown[0]}, is {shown[1]}" if told else f"{called} differs"
    return Difference(part, name, was, now, sentence)


def _whole(part: str) -> Difference:
    """A part that differs as a whole: its values are the same one by one, and stand in another form or order."""
    verb = "differs" if part in {"source", "environment"} else "differ"
    return Difference(part, "", "", "", f"the {part} {verb} in form or order")


def _statement(asked: Asked, kind: str, sql: str, *, explained: bool) -> Iterator[Difference]:
    """How two statements differ.

    Args:
        asked: the question.
        kind: the stored one's kind.
        sql: the stored one's text.
        explained: whether something else differs: it may be why one text reaches the driver as two.
    """
    if kind != asked.kind:
        was, now = _KINDS.get(kind, kind), _KINDS.get(asked.kind, asked.kind)
        sentence = f"the SQL was asked as {was}, is asked as {now}"
        yield Difference("statement", "kind", was, now, sentence)
    if sql != asked.sql:
        yield Difference("statement", "sql", sql, asked.sql, _reworded(sql, asked.sql))
    elif kind == asked.kind and not explained:
        yield Difference("statement", "sql", sql, asked.sql, "the SQL reaches the driver in other words")


def _reworded(was: str, now: str) -> str:
    """How one text differs from another."""
    if was.split() == now.split():
        return "the SQL differs in white space alone"
    if "".join(was.split()).casefold() == "".join(now.split()).casefold():
        return "the SQL differs in case or white space alone"
    olds, news = list(_TOKEN.finditer(was)), list(_TOKEN.finditer(now))
    matcher = SequenceMatcher(None, [each[0] for each in olds], [each[0] for each in news], autojunk=False)
    edits = [edit for edit in matcher.get_opcodes() if edit[0] != "equal"]
    before = _cut(_slice(was, olds[edits[0][1] : edits[-1][2]]))
    after = _cut(_slice(now, news[edits[0][3] : edits[-1][4]]))
    if before and after:
        return f"the SQL says {after} where it said {before}"
    return f"the SQL says {after}, too" if after else f"the SQL no longer says {before}"


def _slice(text: str, tokens: list[re.Match[str]]) -> str:
    return text[tokens[0].start() : tokens[-1].end()] if tokens else ""


def _side_by_side(was: str, now: str) -> tuple[str, str]:
    """Two values short enough for a sentence, with what differs still in them."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
    if max(len(was), len(now)) > _LONGEST and (start := same - _CONTEXT) > 0:
        was, now = f"…{was[start:]}", f"…{now[start:]}"
    return _cut(was), _cut(now)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
