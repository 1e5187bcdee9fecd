"""`%%cachedsql` and `%cachedsql`: read what was typed, ask the `QueryCache`, show the answer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, assert_never

from IPython.core.magic import line_cell_magic, magics_class, needs_local_scope, no_var_expand

from sqlcache_nb import notes, report
from sqlcache_nb.errors import (
    CacheMiss,
    EntryNotFound,
    NotCachedWarning,
    NotebookError,
    SqlcacheError,
    SqlcacheWarning,
)
from sqlcache_nb.guard import Kind, examine, kind_of
from sqlcache_nb.notebook import grammar
from sqlcache_nb.notebook.awaited import AwaitedLine
from sqlcache_nb.notebook.binding import Question, bind
from sqlcache_nb.notebook.connections import Connections, Scope, facts_of, is_held, outside_transactions
from sqlcache_nb.notebook.display import HELP, entries_table, entry_text, show, show_frame, stats_text
from sqlcache_nb.notebook.faults import Interrupted, is_interrupt, message_of
from sqlcache_nb.notebook.lexer import tokens
from sqlcache_nb.notebook.lines import LineHandler, in_words
from sqlcache_nb.notebook.parameters import look_up, look_up_in, scan
from sqlcache_nb.notebook.settings import Settings
from sqlcache_nb.notebook.statements import split
from sqlcache_nb.redaction import redact
from sqlcache_nb.writes import touched_tables

if TYPE_CHECKING:
    from pandas import DataFrame

    from sqlcache_nb.cache import QueryCache
    from sqlcache_nb.request import CacheOptions, PandasCall

Scopes = tuple[Scope, ...]

_BEGIN_BODY = frozenset({"alter", "begin", "create", "declare"})
_TRANSACTIONS = frozenset({"begin", "commit", "end", "release", "rollback", "savepoint"})


@magics_class
class CachedSQLMagics(Settings):
    """The magic, and what it remembers; `%config CachedSQLMagics` shows its settings."""

    def __init__(self, shell: Any = None, **traits: Any) -> None:
        super().__init__(shell, **traits)
        self._ipython: Any = shell  # traitlets would have it that there may be none
        self._connections = Connections()
        self._lines = LineHandler(lambda: bool(self.quiet))
        self._lines.attach()

    @line_cell_magic
    @no_var_expand
    @needs_local_scope
    def cachedsql(
        self, line: str, cell: str | None = None, local_ns: Mapping[str, object] | None = None
    ) -> DataFrame | None:
        """Answer SQL from the cache, else from the database.

        %%cachedsql [CON] [NAME << | NAME = <<] [options]
        SELECT ... WHERE carrier = :carrier

        CON is a variable that holds an engine, connection or session, a URL, or an alias; without it
        the last one is used, or $DATABASE_URL. The frame is the cell's value; with NAME << it goes into
        that variable, and nothing is shown. :name is bound from the notebook's variables; a list stands
        after IN. A table's bare name reads the whole table.

        Options, in any order:
          --ttl TIME     how long an answer is fresh: 30m, 1h, 7d, today, session, forever
          --refresh      ask the database again, and replace what is stored
          --no-store     neither read nor write the cache
          --offline      never ask the database: what is stored is the answer, of any age
          --stale-while-revalidate TIME
                         so long show a stale answer at once, and fetch it anew in the background
          --stale-if-error TIME
                         so long show a stale answer where the database is out of reach
          --validate V   auto (database files), true (servers, too), false, a name, or SQL of your own:
                         "select max(updated_at) from t"
          --name N       a name of yours for the entry
          --tag T        a label to list and clear by
          --params DICT  take :name from the dict in this variable, and from nowhere else
          --quiet        show no line about where the result came from
          --store-random keep an answer that is left to chance, random() or a sample, too
          --pin          freeze the answer: never evicted, and a hit at any age, until unpinned or refreshed
          --write        let the statement change the database; it is committed, nothing is cached

        Several statements, with ; between, run in their order. Each result is shown; the last one is the
        cell's value, and the only one that is cached, if none before it writes.

        On one line, CON and options stand before the SQL:
          df = %cachedsql CON --ttl 1h SELECT ...

        Verbs:
          %cachedsql list | info KEY | stats | help
          %cachedsql check [--repair]                  what is damaged or left over; and delete it
          %cachedsql clear [--all | --key K | --name N | --tag T | --table T | --source S | --older-than AGE
                            | --unused-for TIME | --unpinned-only] [--dry-run]
          %cachedsql pin KEY | unpin KEY               frozen: never evicted, a hit at any age; or not any more
          %cachedsql invalidate [--all | --name N | --tag T | --table T | --source S | KEY]
                                                       keep, and ask again; bare: what this kernel has used
          %cachedsql connect ALIAS URL_OR_VARIABLE     $ENV in a URL is expanded
          %cachedsql why [CON] [options] SELECT ...    hit, miss, stale or refused, and why; or as %%cachedsql why

        Settings: %config CachedSQLMagics.offline = True, and likewise quiet, ttl, refresh, no_store,
        stale_while_revalidate, stale_if_error, validate; %config CachedSQLMagics shows them
        """
        scopes = (local_ns or {}, self._ipython.user_ns)
        try:
            if cell is None:
                return self._answer_line(line, scopes)
            return self._answer_cell(line, cell.strip(), scopes)
        except KeyboardInterrupt as interrupt:
            failure: BaseException = Interrupted(str(interrupt) or "interrupted")
        except NotebookError as fault:  # it shows nothing that could hold a secret
            failure = NotebookError(str(fault))
        except CacheMiss as fault:
            failure = CacheMiss(redact(str(fault)))
        except EntryNotFound as fault:
            told = redact(str(fault)).removesuffix(": list what is stored")
            failure = NotebookError(f"{told}: see %cachedsql list")
        except SqlcacheError as fault:
            failure = NotebookError(redact(str(fault)))
        # A new error, raised outside of `except`: nothing of ours or of the driver's hangs on it.
        raise failure

    def close(self) -> None:
        """Close the engines that were made here, show no more lines, and leave the cache to its own policy."""
        self._lines.detach()
        self.withdraw()
        self._connections.close()

    def _cache(self) -> QueryCache:
        """The default cache."""
        from sqlcache_nb.api import default_cache

        cache = default_cache()
        if announcement := cache.announce():
            show(announcement)
        return cache

    def _answer_cell(self, line: str, sql: str, scopes: Scopes) -> DataFrame | None:
        request = grammar.parse_cell(line)
        if not sql:
            raise NotebookError("no SQL below the first line")
        if request.target is not None and is_held(request.target, *scopes):
            raise NotebookError(f"{request.target} holds a connection: take another name for the frame")
        con = self._connections.resolve(request.con, *scopes)
        if request.why:
            self._explain(sql, con, request.options, scopes)
            return None
        frame = self._query(sql, con, request.options, scopes, target=request.target)
        if request.target is None:
            return frame
        self._ipython.user_ns[request.target] = frame
        return None

    def _answer_line(self, line: str, scopes: Scopes) -> DataFrame | None:
        request = grammar.parse_line(line, lambda word: self._connections.names(word, *scopes))
        if not isinstance(request, grammar.LineQuery):
            return self._answer_verb(request, scopes)
        con = self._connections.resolve(request.con, *scopes)
        if request.why:
            self._explain(request.sql, con, request.options, scopes)
            return None
        return self._query(request.sql, con, request.options, scopes)

    def _query(
        self, sql: str, con: Any, options: grammar.Options, scopes: Scopes, *, target: str | None = None
    ) -> DataFrame | None:
        """The frame that answers the SQL; None after a write that returns no rows."""
        dialect = facts_of(con)[1]
        statements = _statements(sql, dialect)
        kinds = [_kind_of(statement, dialect, options) for statement in statements]
        for statement, kind in zip(statements, kinds, strict=True):
            if kind is not Kind.QUERY:
                _check_rows(statement, dialect)
        if len(statements) == 1:
            _check_kind(kinds[0], options)
        else:
            _check_kinds(kinds, options)
        if kinds[-1] is Kind.WRITE and target is not None and not _returns_rows(statements[-1], dialect):
            raise NotebookError(f"a write has no result that {target} could hold: leave {target} << out")
        steps = [
            _step(statement, kind, con, dialect, options, scopes)
            for statement, kind in zip(statements, kinds, strict=True)
        ]
        if self._is_offline(options):
            _check_offline(steps)
        *before, last = steps
        for number, step in enumerate(before, 1):
            with _numbered(number, len(steps)):
                frame = self._run(step, con, options, "of several statements only the last is cached")
            if frame is not None:
                show_frame(frame)
        acted = any(_acts(*each, dialect) for each in zip(statements[:-1], kinds[:-1], strict=True))
        with _numbered(len(steps), len(steps)):
            return self._run(
                last, con, options, "a statement before it may change the answer" if acted else ""
            )

    def _run(self, step: _Step, con: Any, options: grammar.Options, uncached: str) -> DataFrame | None:
        """The frame that answers one statement; None after a write that returns no rows.

        Args:
            step: the statement.
            con: the connection.
            options: as typed.
            uncached: why the answer is neither looked up nor kept, or "".
        """
        source, dialect = facts_of(con)
        cache, question, line = self._cache(), step.question, AwaitedLine()
        with line, _faults_in_words(source, step.sql, step.values, options), self._warnings_in_words():
            if step.writes:
                con = outside_transactions(con, step.sql, dialect)
                written = cache.execute(question.sql, con, question.params)
                self._show(notes.written(written.rows, source, written.invalidated), options)
                return written.frame
            is_quiet = self.quiet or options.quiet
            before = None if is_quiet else lambda known: line.expect(report.awaited(known, now=_now()))
            policy = grammar.Options(no_store=True) if uncached else options
            waiting = (lambda text: None) if is_quiet else line.wait
            result = cache.ask(*_asked(question, con, policy), before=before, waiting=waiting)
            if uncached:
                result = replace(result, detail=uncached)
            frame: DataFrame = result.frame
            if not is_quiet:
                line.say(report.line(result, now=_now()))
        return frame

    def _explain(self, sql: str, con: Any, options: grammar.Options, scopes: Scopes) -> None:
        """Show how the SQL, of several statements the last, would be answered, and why."""
        source, dialect = facts_of(con)
        *before, last = _statements(sql, dialect)
        if any(_acts(each, _kind_of(each, dialect, options), dialect) for each in before):
            show("refused: a statement before the last may change its answer")
            return
        step = _step(last, _kind_of(last, dialect, options), con, dialect, options, scopes)
        with _faults_in_words(source, last, step.values, options), self._warnings_in_words():
            told = self._cache().explain(*_asked(step.question, con, options))
        show(str(told))

    def _answer_verb(self, verb: grammar.Verb, scopes: Scopes) -> DataFrame | None:
        match verb:
            case grammar.List():
                return entries_table(self._cache().entries(), _now())
            case grammar.Info(key):
                cache = self._cache()
                entry = cache.find(key)
                last_used, previous = cache.last_used(entry), cache.previous(entry.key)
                ttl = cache.policy_in_force.lifetime
                show(entry_text(entry, _now(), ttl, last_used, previous))
            case grammar.Pin(key, pinned):
                entry = self._cache().pin(key) if pinned else self._cache().unpin(key)
                show(notes.pinned(entry, _now()) if pinned else notes.unpinned(entry))
            case grammar.Stats():
                show(stats_text(self._cache().stats()))
            case grammar.Check(repair):
                with self._warnings_in_words():
                    show(str(self._cache().check(repair=repair)))
            case grammar.Clear():
                show(self._clear(verb))
            case grammar.Invalidate():
                used = not (verb.all or verb.filters)
                show(notes.invalidated(self._cache().invalidate(**verb.filters, used=used)))
            case grammar.Connect(alias, target):
                con = self._connections.connect(alias, target, *scopes)
                show(f"{alias}: {facts_of(con)[0]}")
            case grammar.Help():
                show(HELP)
            case _:
                assert_never(verb)
        return None

    def _clear(self, verb: grammar.Clear) -> str:
        cache = self._cache()
        if not verb.all and not verb.filters:
            stats = cache.stats()
            return notes.nothing_cleared(stats.entries, stats.bytes, stats.elapsed, stats.sources)
        removed = cache.clear(**verb.filters, dry_run=verb.dry_run)
        if verb.dry_run:
            return notes.would_remove(removed.entries, removed.bytes)
        return notes.removed(removed.entries, removed.bytes, all_of_them=verb.all)

    def _is_offline(self, options: grammar.Options) -> bool:
        """Whether the database may not be asked, whoever says so."""
        return options.offline or bool(self._cache().policy_in_force.offline)

    def _show(self, text: str, options: grammar.Options) -> None:
        if not (self.quiet or options.quiet):
            show(text)

    @contextmanager
    def _warnings_in_words(self) -> Iterator[None]:
        """Our warnings as lines; one that says "not cached" is left to the line of provenance."""
        with warnings.catch_warnings():
            warnings.showwarning = in_words(warnings.showwarning)
            warnings.simplefilter("always", SqlcacheWarning)
            warnings.simplefilter("ignore", NotCachedWarning)
            # Of a driver's own connection, too, the line of provenance says enough.
            warnings.filterwarnings("ignore", "pandas only supports SQLAlchemy", UserWarning)
            yield


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement of a cell, with its values, ready to be run."""

    sql: str
    values: Mapping[str, object]
    question: Question
    writes: bool


def _statements(sql: str, dialect: str) -> tuple[str, ...]:
    """What was typed, cut into statements."""
    return (split(sql, dialect) if ";" in sql else ()) or (sql,)


def _kind_of(sql: str, dialect: str, options: grammar.Options) -> Kind:
    """What one statement does: the parser takes a trigger or a block for several.

    With --write it may do more than read, as `select nextval('s')` does, and as a function may that nobody knows.
    """
    kind = kind_of(sql, dialect)
    if options.write and kind is Kind.QUERY:
        acts = examine(sql, dialect).refusal or touched_tables(sql, dialect) is None
        return Kind.WRITE if acts else kind
    words = (token.text.lower() for token in tokens(sql, dialect) if token.kind == "word")
    return Kind.WRITE if kind is Kind.SEVERAL and next(words, "") in _BEGIN_BODY else kind


def _acts(sql: str, kind: Kind, dialect: str) -> bool:
    """Whether a statement may change what the next one answers: `select set_config(...)` does, too."""
    return kind is Kind.WRITE or (kind is Kind.QUERY and bool(examine(sql, dialect).refusal))


def _step(sql: str, kind: Kind, con: Any, dialect: str, options: grammar.Options, scopes: Scopes) -> _Step:
    statement = scan(sql, dialect)
    if options.params is None:
        values = look_up(statement.names, *scopes)
    else:
        values = look_up_in(options.params, statement.names, *scopes)
    writes = options.write and kind not in {Kind.QUERY, Kind.INFO}
    return _Step(sql, values, bind(statement, values, con, dialect), writes)


def _asked(question: Question, con: Any, options: grammar.Options) -> tuple[PandasCall, Any, CacheOptions]:
    """What the cache gets."""
    from sqlcache_nb.request import CacheOptions, PandasCall  # they load pandas

    return (
        PandasCall(question.sql, params=question.params),
        con,
        CacheOptions(
            **options.policy,
            name=options.name,
            tag=options.tag or None,
            store_random=options.store_random,
            pin=options.pin,
        ),
    )


def _check_kinds(kinds: list[Kind], options: grammar.Options) -> None:
    """Refuse several statements of which one would change data unasked, or lose a result."""
    for number, kind in enumerate(kinds, 1):
        if kind in {Kind.SEVERAL, Kind.UNKNOWN}:
            raise NotebookError(
                f"statement {number} of {len(kinds)} cannot be understood: "
                "give it a cell of its own, so that no result is lost"
            )
        if kind is Kind.WRITE and not options.write:
            raise NotebookError(
                f"statement {number} of {len(kinds)} does more than read: nothing was run; "
                "add --write to run and commit each by itself"
            )
    _check_kind(Kind.WRITE if Kind.WRITE in kinds else kinds[-1], options)


@contextmanager
def _numbered(number: int, count: int) -> Iterator[None]:
    """Say of several statements which one failed."""
    try:
        yield
    except NotebookError as fault:
        if count == 1:
            raise
        raise NotebookError(f"statement {number} of {count}: {fault}") from None


def _check_kind(kind: Kind, options: grammar.Options) -> None:
    """Refuse what would change data unasked, or lose a result."""
    if kind is Kind.SEVERAL:
        raise NotebookError("several statements: give each a cell of its own, so that no result is lost")
    if kind is Kind.WRITE and not options.write:
        raise NotebookError("this statement does more than read: add --write to run and commit it")
    if options.write and kind in {Kind.QUERY, Kind.INFO}:
        raise NotebookError(
            "--write is for statements that change the database; this one reads: leave it out"
        )


def _check_offline(steps: list[_Step]) -> None:
    """Refuse what cannot be answered without the database."""
    if any(step.writes for step in steps):
        raise NotebookError("offline: nothing is written, and nothing was run")
    if len(steps) > 1:
        raise NotebookError(
            "offline: of several statements only the last is cached: give it a cell of its own"
        )


def _returns_rows(sql: str, dialect: str) -> bool:
    """Whether a write may return rows: by RETURNING, or as a SELECT ... FOR UPDATE."""
    code = [token.text.lower() for token in tokens(sql, dialect) if token.kind == "word"]
    return "returning" in code or (code[0] == "select" and "into" not in code)


def _check_rows(sql: str, dialect: str) -> None:
    """Refuse what no rows can come back from."""
    code = [
        piece.text.lower() for piece in tokens(sql, dialect) if piece.kind != "space" and piece.text != ";"
    ]
    if not code:
        raise NotebookError("no rows come back: nothing to show")
    is_block = len(code) > 3 or code[1:][-1:] == ["end"]  # BEGIN work(); END is no transaction
    if code[0] in _TRANSACTIONS and not is_block:
        raise NotebookError(
            f"{code[0].upper()} was not run, nor anything else here: --write commits each statement by itself"
        )


@contextmanager
def _faults_in_words(
    source: str, sql: str, values: Mapping[str, object], options: grammar.Options
) -> Iterator[None]:
    """What the database, its driver or pandas raise as `NotebookError`, without what they put around it."""
    try:
        yield
    except SqlcacheError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # drivers have trees of their own
        if is_interrupt(error):
            kept = "" if options.write else "; nothing stored"  # a commit may have been under way
            raise Interrupted(f"interrupted: {source} did not finish{kept}") from None
        raise NotebookError(f"{message_of(error, source, values)}{grammar.usage_hint(sql)}") from None


def _now() -> datetime:
    return datetime.now(UTC)
