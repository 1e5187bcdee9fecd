"""What a person typed after the magic's name, read into one request.

The cell form is a line of words: `[CON] [NAME << | NAME = <<]` and options, in any order. The line form
is a verb where the whole line reads as one, and SQL everywhere else: options and the connection stand before
its first word, and the rest is kept to the letter, because `--` begins a comment in SQL. What was meant as
something else than SQL is refused and not shown: it may hold a password, and a database repeats what it gets.

The options of a request are the fields of its dataclass, as `flags` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from keyword import iskeyword
from typing import Any

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.flags import FLAG, OPTION, Word, flags_of, take_options, words_of
from sqlcache_nb.notebook.hints import nearest
from sqlcache_nb.notebook.lexer import tokens
from sqlcache_nb.policy import Policy, Validate

_TARGET = re.compile(r"(.*?)=?<<")
_PLAIN_WORD = re.compile(r"[\w.-]+")
_ADDRESS = re.compile(r"://|\w(?://|:/)[^\s@]*:[^\s@]*@")  # a URL, perhaps mistyped

# First words of SQL that look like verbs mistyped, or after which a statement may follow.
_BEGIN_SQL = frozenset(
    """analyze as begin call create deny desc describe disconnect exec execute explain export grant if insert
    listen prepare profile replace revoke select show start summarize table trace unload values with""".split()
)
_STATEMENTS = frozenset("delete insert select update values with".split())


@dataclass(frozen=True, slots=True)
class Options:
    """How a query is to be answered.

    Args:
        ttl: how long a result is fresh, as typed ("1h", "today").
        refresh: fetch again and replace.
        no_store: neither read nor write the cache.
        offline: never ask the database.
        stale_while_revalidate: a time for which a stale result is served while it is fetched anew, as typed.
        stale_if_error: a time for which a stale result is served where the database is out of reach, as typed.
        validate: which validator is asked: "auto", True, False, SQL, or a name.
        name: a person's own word for the result.
        tag: labels for the result.
        params: name of the variable whose dict holds the parameters.
        quiet: show no line of provenance.
        store_random: keep an answer that is left to chance, too.
        pin: freeze the answer.
        write: allow a statement that changes data.
    """

    ttl: str | None = None
    refresh: bool = False
    no_store: bool = False
    offline: bool = False
    stale_while_revalidate: str | None = None
    stale_if_error: str | None = None
    validate: Validate | None = None
    name: str | None = None
    tag: tuple[str, ...] = ()
    params: str | None = None
    quiet: bool = False
    store_random: bool = False
    pin: bool = False
    write: bool = False

    @property
    def policy(self) -> dict[str, Any]:
        """What was typed of a `Policy`, by its names: a switch that was not is left to what is configured."""
        typed = {each.name: getattr(self, each.name) for each in fields(Policy)}
        switches = {"refresh", "no_store", "offline"}
        return {name: value for name, value in typed.items() if not (name in switches and value is False)}


@dataclass(frozen=True, slots=True)
class CellRequest:
    """The line of `%%cachedsql`.

    Args:
        con: the word that names the connection; None for the last one used.
        target: the variable that gets the frame; None where the frame is the cell's value.
        options: how the query is to be answered.
        why: whether only to say how it would be answered, and why.
    """

    con: str | None = None
    target: str | None = None
    options: Options = Options()
    why: bool = False


@dataclass(frozen=True, slots=True)
class LineQuery:
    """`%cachedsql [options] [CON] [options] SQL`.

    Args:
        sql: everything after the options and the connection, to the letter.
        options: how the query is to be answered.
        con: the word that names the connection; None for the last one used.
        why: whether only to say how it would be answered, and why.
    """

    sql: str
    options: Options = Options()
    con: str | None = None
    why: bool = False


@dataclass(frozen=True, slots=True)
class List:
    """`list`: the stored results."""


@dataclass(frozen=True, slots=True)
class Info:
    """`info KEY`: everything about one stored result.

    Args:
        key: a key, the unique beginning of one, or a name.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Clear:
    """`clear`: with no field set, it only says what could be cleared.

    Args:
        all: everything.
        key: the result of this key.
        name: results of this name.
        tag: results with this tag.
        table: results whose statement names this table.
        older_than: results older than this, as typed ("7d").
        unused_for: results that were not used for so long, as typed.
        source: results from this database.
        unpinned_only: leave what is pinned.
        dry_run: delete nothing, and say what would go.
    """

    all: bool = False
    key: str | None = None
    name: str | None = None
    tag: str | None = None
    table: str | None = None
    older_than: str | None = None
    unused_for: str | None = None
    source: str | None = None
    unpinned_only: bool = False
    dry_run: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that were given, by the names of `QueryCache.clear`."""
        return _given(self)


@dataclass(frozen=True, slots=True)
class Invalidate:
    """`invalidate`: with no field set, what this kernel has used.

    Args:
        all: everything.
        name: results of this name.
        tag: results with this tag.
        table: results whose statement names this table.
        source: results from this database.
        key: the result of this key, which stands without an option's name.
    """

    all: bool = False
    name: str | None = None
    tag: str | None = None
    table: str | None = None
    source: str | None = None
    key: str | None = field(default=None, metadata={"bare": True})

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that were given, by the names of `QueryCache.invalidate`."""
        return _given(self)


def _given(form: Clear | Invalidate) -> dict[str, Any]:
    values = {each.name: getattr(form, each.name) for each in fields(form) if each.name not in _NO_FILTERS}
    return {name: value for name, value in values.items() if value not in (None, False)}


_NO_FILTERS = frozenset({"all", "dry_run"})


@dataclass(frozen=True, slots=True)
class Stats:
    """`stats`: how much is stored, and how much time it has saved."""


@dataclass(frozen=True, slots=True)
class Check:
    """`check`: read everything, and say what is inconsistent.

    Args:
        repair: delete what is.
    """

    repair: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """`connect ALIAS URL_OR_VARIABLE`: a short name for a connection.

    Args:
        alias: the short name.
        target: a URL (with `$ENV` in it, perhaps) or the name of a variable.
    """

    alias: str
    target: str


@dataclass(frozen=True, slots=True)
class Help:
    """`help`: the ways to use the magic."""


@dataclass(frozen=True, slots=True)
class Pin:
    """`pin KEY` and `unpin KEY`: freeze one stored result, or let it age again.

    Args:
        key: a key, the unique beginning of one, or a name.
        pinned: whether it is to be pinned.
    """

    key: str
    pinned: bool = True


Verb = List | Info | Clear | Invalidate | Pin | Stats | Check | Connect | Help

USAGE = {
    "list": "list",
    "info": "info KEY",
    "clear": "clear [--all | --key KEY | --name NAME | --tag TAG | --table TABLE | --source SOURCE | --older-than AGE"
    " | --unused-for TIME | --unpinned-only] [--dry-run]",
    "invalidate": "invalidate [--all | --name NAME | --tag TAG | --table TABLE | --source SOURCE | KEY]",
    "pin": "pin KEY",
    "unpin": "unpin KEY",
    "stats": "stats",
    "check": "check [--repair]",
    "why": "why [CON] [options] SELECT ...",
    "connect": "connect ALIAS URL_OR_VARIABLE",
    "help": "help",
}
"""Each verb, and how it is written."""

_ALONE: dict[str, Callable[[], Verb]] = {
    "list": List,
    "clear": Clear,
    "invalidate": Invalidate,
    "stats": Stats,
    "check": Check,
    "help": Help,
}
"""The verbs that may be a whole line."""

_FORMS: dict[str, type[Clear | Invalidate | Check]] = {
    "clear": Clear,
    "invalidate": Invalidate,
    "check": Check,
}
"""The verbs that take options."""

_LINE = "[CON] [options] SELECT ..."


def parse_cell(line: str) -> CellRequest:
    """The request in the line of `%%cachedsql`.

    Args:
        line: what follows the magic's name.

    Raises:
        NotebookError: a word too many, an unknown option, an option without its value.

    Example:
        >>> request = parse_cell("--ttl 1h db delays <<")
        >>> request.con, request.target, request.options.ttl
        ('db', 'delays', '1h')
    """
    typed = list(words_of(line))
    why = _asks_why(typed)
    values, rest = take_options(typed[1:] if why else typed, Options)
    words, target = _split_target([word.text for word in rest])
    if why and target is not None:
        raise NotebookError(f"why has no result that {target} could hold: leave {target} << out")
    if len(words) > 1:
        raise NotebookError("the first line takes [CON] [NAME <<] and options; the SQL stands below it")
    return CellRequest(words[0] if words else None, target, _query_options(values, why=why), why)


def is_url(word: str) -> bool:
    """Whether a word can only be a connection: a URL, or an environment variable that holds one.

    Example:
        >>> is_url("sqlite:///flights.db"), is_url("$DATABASE_URL"), is_url("flights")
        (True, True, False)
    """
    return "://" in word or word.startswith("$")


def parse_line(line: str, is_connection: Callable[[str], bool] = is_url) -> LineQuery | Verb:
    """The request in `%cachedsql ...`.

    Args:
        line: what follows the magic's name.
        is_connection: whether a word names a connection, which the notebook's variables tell.

    Raises:
        NotebookError: an unknown option, an option without its value or after the SQL, no SQL, or what
            was meant as a verb or a URL and is not written as one.

    Example:
        >>> parse_line("info ab12"), parse_line("--quiet select info from tables").sql
        (Info(key='ab12'), 'select info from tables')
    """
    words = list(words_of(line))
    if not words:
        return Help()
    why = len(words) > 1 and _asks_why(words)
    if why:
        words = words[1:]
    elif verb := _parse_verb(words):
        return verb
    values, rest = take_options(words, Options, leading=True)
    con = _leading_connection(rest, is_connection)
    if con is not None:
        values, rest = take_options(rest[1:], Options, leading=True, values=values)
    if not rest:
        raise NotebookError(
            f"no SQL after the {'options' if con is None else 'connection'}: %cachedsql {_LINE}"
        )
    if con is None:
        _check_verb(rest)
    sql = line[rest[0].start :].strip()
    _check_sql(sql)
    return LineQuery(sql, _query_options(values, why=why), con, why)


def usage_hint(sql: str) -> str:
    """How the verb is written with which `sql` begins; nothing where it begins with none.

    Example:
        >>> usage_hint("info")
        ' (the verb is written: info KEY)'
    """
    verb = sql.split(maxsplit=1)[0] if sql.strip() else ""
    return f" (the verb is written: {USAGE[verb]})" if verb in USAGE else ""


def _asks_why(words: list[Word]) -> bool:
    """Whether the verb `why` stands before a question."""
    return bool(words) and words[0].text == "why" and not words[0].quoted


def _leading_connection(words: list[Word], is_connection: Callable[[str], bool]) -> str | None:
    """The connection's word with which the rest of a line begins, or None; alone it is a table's name."""
    if not words:
        return None
    first, alone = words[0].text, len(words) == 1
    if is_url(first) or (not alone and not words[0].quoted and is_connection(first)):
        return first
    # `gg select 1`: no connection perhaps, but nothing else can be meant
    meant = not alone and _PLAIN_WORD.fullmatch(first) and words[1].text.lower() in _STATEMENTS
    return first if meant and first.lower() not in _BEGIN_SQL | USAGE.keys() else None


def _check_verb(words: list[Word]) -> None:
    """Refuse a line that begins with a verb, or nearly one, and does not read as it."""
    first = words[0].text.lower()
    if words[0].quoted or first in _BEGIN_SQL:
        return
    if first in USAGE:
        raise NotebookError(f"{first} is written: %cachedsql {USAGE[first]}")
    if verb := nearest(first, USAGE, likeness=0.75):
        table = "" if len(words) > 1 else "; a table of that name stands after its connection"
        raise NotebookError(f"did you mean the verb {verb}? It is written: %cachedsql {USAGE[verb]}{table}")


def _check_sql(sql: str) -> None:
    """Refuse SQL that ends with an option, or that holds a URL outside of quotes and comments."""
    pieces = list(tokens(sql))
    for piece in pieces:
        flag = FLAG.match(piece.text) if piece.is_comment else None
        if flag and flag[0] in flags_of(Options):
            raise NotebookError(
                f"options stand before the SQL, where {flag[0]} would be a comment: %cachedsql {_LINE}"
            )
    if _ADDRESS.search(
        "".join(" " if each.is_comment or each.kind == "quoted" else each.text for each in pieces)
    ):
        raise NotebookError(
            "a database URL stands before the SQL, %cachedsql URL SELECT ..., or gets a short name: "
            f"%cachedsql {USAGE['connect']}"
        )


def _parse_verb(words: list[Word]) -> Verb | None:
    """The verb that the whole line reads as, or None."""
    verb, rest = words[0].text, words[1:]
    if verb not in USAGE or words[0].quoted:
        return None
    if rest and OPTION.match(rest[0].text):
        return _verb_with_options(verb, rest)
    match [verb, *(word.text for word in rest)]:
        case [verb] if verb in _ALONE:
            return _ALONE[verb]()
        case ["info", key]:
            return Info(key)
        case ["pin" | "unpin", key]:
            return Pin(key, pinned=verb == "pin")
        case ["invalidate", key]:
            return Invalidate(key=key)
        case ["connect", alias, target] if "://" not in alias:
            return Connect(alias, target)
    return None


def _verb_with_options(verb: str, words: list[Word]) -> Clear | Invalidate | Check:
    if verb not in _FORMS:
        raise NotebookError(f"{verb} takes no options: {USAGE[verb]}")
    form = _FORMS[verb]
    values, rest = take_options(words, form)
    if rest:
        raise NotebookError(f"{verb} takes options only, or a key only: {USAGE[verb]}")
    request = form(**values)
    if not isinstance(request, Check) and request.all and request.filters:
        raise NotebookError(f"{verb} --all means every entry: give --all or filters, not both")
    return request


def _query_options(values: dict[str, Any], *, why: bool) -> Options:
    options = Options(**values)
    if why and options.write:
        raise NotebookError("why runs nothing: leave --write out")
    if options.params is not None and not options.params.isidentifier():
        raise NotebookError("--params takes the name of a variable that holds a dict of the parameters")
    return options


def _split_target(words: list[str]) -> tuple[list[str], str | None]:
    """The words before `NAME <<` or `NAME = <<` (spaces or none between), and NAME."""
    if not any("<<" in word for word in words):
        return words, None
    *words, tail = words
    while words and not tail.strip("=<"):
        tail = words.pop() + tail
    if not _names_target(tail):
        raise NotebookError("<< stands last and after the name of a variable: [CON] NAME <<")
    return words, tail.removesuffix("<<").removesuffix("=")


def _names_target(text: str) -> bool:
    match = _TARGET.fullmatch(text)
    return match is not None and match[1].isidentifier() and not iskeyword(match[1])
