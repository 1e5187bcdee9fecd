"""What single words of a statement say about its answer: the time, chance, deeds, the session, catalogs.

Pure, and without a parser: `guard.py` cuts a statement into words, these functions judge them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Word:
    """A token.

    Args:
        text: its text in lower case, without quotes.
        quoted: whether it is a quoted name.
        string: whether it is a string.
        next: the text of the next one.
        arguments: how many arguments it is called with, None where it is not called.
    """

    text: str
    quoted: bool = False
    string: bool = False
    next: str = ""
    arguments: int | None = None

    @property
    def is_call(self) -> bool:
        """Whether it names a function: quotes do not matter for that."""
        return self.arguments is not None

    @property
    def is_code(self) -> bool:
        """Whether it is neither a string nor a quoted name."""
        return not (self.string or self.quoted)


# --- the time ---------------------------------------------------------------------------------------

# Functions that ask for the time. Those in _BARE_CLOCK need no parentheses.
_BARE_CLOCK = frozenset(
    """current_timestamp current_date current_time current_datetime localtimestamp localtime
    sysdate systimestamp utc_timestamp utc_date utc_time""".split()
)
_CLOCK = _BARE_CLOCK | frozenset(
    """now getdate getutcdate sysdatetime sysutcdatetime sysdatetimeoffset clock_timestamp statement_timestamp
    transaction_timestamp timeofday curdate curtime unix_timestamp today yesterday get_current_timestamp
    get_current_time current_localtimestamp current_localtime now64 unix_seconds unix_millis""".split()
)
_CLOCK_IF_EMPTY = frozenset("date time datetime julianday unixepoch".split())
_CLOCK_IF_ALONE = frozenset("age strftime".split())  # the time that they are about is the second argument
_CLOCK_WORDS = frozenset("now today tomorrow yesterday subsec subsecond".split())
# PostgreSQL's words may stand before a time of day: 'today 04:05', 'tomorrow allballs'.
_CLOCK_TEXT = re.compile(r"(?:now|today|tomorrow|yesterday)(?:\s+(?:allballs|[\d:.]+)(?:\s*[+-]?\w+)?)?")
# Of all these, the ones whose answer is the same for the whole of the session's day.
_DAY = frozenset("current_date curdate today yesterday".split())
_DAY_WORDS = frozenset("today tomorrow yesterday".split())
# Modifiers of SQLite's functions after which the day is still that of UTC.
_SQLITE_MODIFIER = re.compile(r"[+-]?\d+ (?:day|month|year)s?|start of (?:day|month|year)|weekday [0-6]")


def clock(words: Sequence[Word], dialect: str) -> tuple[bool, bool]:
    """Whether a statement asks for the time, and whether it asks for the date.

    Args:
        words: the statement's.
        dialect: sqlglot's name of the dialect.

    Example:
        >>> clock([Word("current_date")], "postgres"), clock([Word("now", arguments=0)], "postgres")
        ((False, True), (True, False))
    """
    time = day = False
    told: set[int] = set()  # strings that belong to a call which was judged with them
    for position, word in enumerate(words):
        if dialect == "sqlite" and word.is_call and (strings := _sqlite_day(words, position)) is not None:
            day = True
            told.update(strings)
        elif dialect == "sqlite" and word.quoted and word.text in _CLOCK_WORDS and position:
            # Where no column has such a name, SQLite reads a string (https://www.sqlite.org/quirks.html, 8).
            time |= words[position - 1].text in {"(", ","}
        elif position not in told and _is_clock(word, dialect):
            if _is_day(word, dialect):
                day = True
            else:
                time = True
    return time, day


def asks_for_the_time(value: object) -> bool:
    """Whether a bound value is a word that databases read as the present: `date(:day)` with "now".

    Example:
        >>> asks_for_the_time("now"), asks_for_the_time(["2024-01-01"])
        (True, False)
    """
    if isinstance(value, str):
        return value.strip().lower() in _CLOCK_WORDS
    if isinstance(value, Mapping):
        return any(map(asks_for_the_time, value.values()))
    return isinstance(value, list | tuple | set) and any(map(asks_for_the_time, value))


def _is_clock(word: Word, dialect: str) -> bool:
    if word.string:
        text = word.text.strip()
        return text in _CLOCK_WORDS or (dialect == "postgres" and _CLOCK_TEXT.fullmatch(text) is not None)
    return (
        (word.text in _BARE_CLOCK and not word.quoted)
        or (word.is_call and word.text in _CLOCK)
        or (word.text in _CLOCK_IF_EMPTY and word.arguments == 0)
        or (word.text in _CLOCK_IF_ALONE and word.arguments == 1)
    )


def _is_day(word: Word, dialect: str) -> bool:
    """Whether what asks for the time asks for no more than the day in the session's zone."""
    if dialect == "postgres":
        if word.string:
            return word.text.strip() in _DAY_WORDS
        if word.text == "age":  # counted from midnight; DuckDB's is that of another zone
            return True
    # Oracle's current_date has hours and minutes; one with an argument is that of a zone of its own.
    return not word.string and word.text in _DAY and not word.arguments and dialect != "oracle"


def _sqlite_day(words: Sequence[Word], position: int) -> list[int] | None:
    """The places of the strings in `date('now')`, whose day is that of UTC; None for all else."""
    if words[position].text != "date":
        return None
    strings = []
    for place in range(position + 2, len(words)):
        if words[place].string:
            strings.append(place)
        elif words[place].text == ")":
            break
        elif words[place].text != ",":
            return None
    texts = [words[place].text for place in strings]
    is_day = not texts or (texts[0] == "now" and all(map(_SQLITE_MODIFIER.fullmatch, texts[1:])))
    return strings if is_day else None


# --- chance, deeds, the session ----------------------------------------------------------------------

_CHANCE = frozenset(
    """random rand randn rand32 rand64 randcanonical random_normal randomblob random_bytes random_string uuid uuidv4
    uuidv7 uuid_short uuid_string reservoir_quantile newid newsequentialid gen_random_uuid gen_random_bytes gen_salt generate_uuid
    generateuuidv4 generateuuidv7 uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 sys_guid randstr shuffle
    dbms_random array_shuffle array_sample normal_rand pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt
    pgp_pub_encrypt_bytea""".split()
)
# What these do stays done: they are writes, although they stand in a SELECT.
_DEEDS = frozenset(
    """nextval setval setseed set_config sleep benchmark load_extension writefile edit get_lock release_lock
    release_all_locks txid_current pg_current_xact_id pg_notify pg_cancel_backend pg_terminate_backend
    pg_export_snapshot pg_switch_wal pg_reload_conf pg_rotate_logfile pg_promote gin_clean_pending_list set_limit
    xp_cmdshell openrowset openquery""".split()
)
_DEED = re.compile(
    r"pg_sleep\w*|pg_(?:try_)?advisory_\w+|pg_stat\w*_reset\w*|pg_(?:logical|create|drop|replication)_\w+|pg_log_\w+"
    r"|pg_(?:copy|sync)_\w+|pg_wal_replay_(?:pause|resume)|pg_backup_\w+|lo_\w+|dblink\w*|query_to_xml\w*"
)
_LOCK_HINTS = frozenset("updlock xlock tablockx".split())
_SEQUENCES = frozenset({"oracle", "snowflake"})  # where seq.nextval is no column

_SESSION = frozenset(
    """current_setting getvariable session_context sys_context currval lastval last_insert_rowid last_insert_id
    changes total_changes current_query current_connection_id row_count found_rows scope_identity ident_current pg_backend_pid connection_id
    pg_current_wal_lsn inet_client_addr inet_client_port show_limit txid_current_snapshot
    txid_current_if_assigned pg_current_snapshot pg_current_xact_id_if_assigned pg_my_temp_schema
    cursor_to_xml""".split()
)
# SQLite's table-valued functions that tell of the file, and not of the session.
_PRAGMAS_OF_THE_FILE = frozenset(
    f"pragma_{name}"
    for name in """application_id auto_vacuum encoding foreign_key_check foreign_key_list freelist_count index_info
    index_list index_xinfo integrity_check page_count page_size quick_check schema_version table_info table_list
    table_xinfo user_version""".split()
)
# Among words with a space between; elsewhere such signs are operators, or stand before a bound value.
_VARIABLES = {
    "mysql": re.compile(r"@ ?@? [^\W\d]\w*"),
    "tsql": re.compile(r"@ ?@? [^\W\d]\w*"),
    "bigquery": re.compile(r"@ ?@ [^\W\d]\w*"),
    "snowflake": re.compile(r"\$ [^\W\d]\w*"),
}


def chance(words: Sequence[Word]) -> str:
    """Why the answer would be another one at the next run, or "".

    Args:
        words: the statement's.

    Example:
        >>> chance([Word("random", arguments=0)])
        'the statement calls random, whose answer is another one each time'
    """
    for word in words:
        if word.text in _CHANCE and (word.is_call or (word.text == "dbms_random" and word.next == ".")):
            return f"the statement calls {word.text}, whose answer is another one each time"
    return ""


def samples(words: Sequence[Word]) -> bool:
    """Whether a statement that has no tree reads a sample.

    Args:
        words: the statement's.
    """
    return any(
        word.is_code
        and (
            word.text == "tablesample"
            or (word.text == "sample" and word.is_call)
            or (word.text == "using" and word.next == "sample")
        )
        for word in words
    )


def deed(words: Sequence[Word], dialect: str) -> str:
    """What a SELECT does beside reading, or "".

    Args:
        words: the statement's.
        dialect: sqlglot's name of the dialect.

    Example:
        >>> deed([Word("nextval", arguments=1)], "postgres")
        'the statement calls nextval, which does more than read'
    """
    for before, word in pairwise([Word(""), *words]):
        acts = word.is_call and (word.text in _DEEDS or _DEED.fullmatch(word.text))
        counts = word.text == "nextval" and before.text == "." and dialect in _SEQUENCES
        if acts or counts:
            return f"the statement calls {word.text}, which does more than read"
        if word.is_code and word.text == "next" and word.next == "value":
            return "the statement takes the next value of a sequence, which does more than read"
        if dialect == "tsql" and word.is_code and word.text in _LOCK_HINTS and before.text in {"(", ","}:
            return f"the statement locks what it reads ({word.text})"
    return ""


def session(words: Sequence[Word], dialect: str) -> str:
    """Which answer of its own the session gives, or "".

    Args:
        words: the statement's.
        dialect: sqlglot's name of the dialect.

    Example:
        >>> session([Word("@", next="x"), Word("x")], "mysql")
        'the statement reads or sets @x, a variable of the session'
    """
    for word in words:
        if word.is_call and word.text in _SESSION:
            return f"the statement calls {word.text}, whose answer is the session's"
        if dialect == "sqlite" and word.text.startswith("pragma_") and word.text not in _PRAGMAS_OF_THE_FILE:
            return f"the statement reads {word.text}, which is a setting of the session"
    text = " ".join("" if word.string else word.text for word in words)
    if dialect in _VARIABLES and (found := _VARIABLES[dialect].search(text)):
        return f"the statement reads or sets {found[0].replace(' ', '')}, a variable of the session"
    return ""


# --- what no transaction of the database changes ------------------------------------------------------

# Of PostgreSQL's own functions: SQL that is given as text, and may name anything; how far transactions have come; which
# server answers; what belongs to a session. What begins with pg_ or lo_ is judged elsewhere.
_ELSEWHERE = re.compile(
    r"(?:table|query|schema|database|cursor)_to_xml\w*|ts_(?:stat|rewrite)|txid_\w+|mxid_age|currtid2?"
    r"|inet_server_(?:addr|port)|system_user|brin_(?:de)?summarize_\w+|binary_upgrade_\w+|loread|lowrite"
)
_TRANSACTIONS = frozenset("xmin xmax cmin cmax".split())


def reads_elsewhere(words: Sequence[Word], dialect: str) -> bool:
    """Whether a statement may read what changes while nothing is committed, told by its words.

    Args:
        words: the statement's.
        dialect: sqlglot's name of the dialect; of others than PostgreSQL it is not known.

    Example:
        >>> reads_elsewhere([Word("ts_stat", arguments=1)], "postgres")
        True
    """
    return dialect == "postgres" and any(
        (word.is_call and _ELSEWHERE.fullmatch(word.text)) or (word.text in _TRANSACTIONS and not word.string)
        for word in words
    )


# --- catalogs -----------------------------------------------------------------------------------------

_CATALOG_SCHEMAS = frozenset(
    """information_schema performance_schema pg_catalog pg_toast sys syscat sysibm sysstat crdb_internal
    account_usage""".split()
)
_CATALOG = re.compile(
    r"""pg_\w+ | sqlite_(?:temp_)?(?:master|schema) | sqlite_stat\d | dbstat | duckdb_\w+ | pragma_\w+
    | s(?:vv|vl|tl|tv)_\w+ | sys(?:objects|columns|indexes|types|users|databases|processes)
    | (?:all|dba|user)_(?:tables|views|objects|tab_columns|indexes|constraints|sequences|segments)
    | has_\w+_privilege | (?:database|table)_size""",
    re.VERBOSE,
)
_NO_CATALOG = frozenset({"pg_typeof", "pg_column_size"})


def is_catalog(name: str, schema: str = "") -> bool:
    """Whether a table or function tells what the database knows of itself, which changes without any write.

    Args:
        name: its name.
        schema: the schema that it was named with, or "".

    Example:
        >>> is_catalog("tables", "information_schema"), is_catalog("systolic")
        (True, False)
    """
    name, schema = name.lower(), schema.lower()
    known = schema in _CATALOG_SCHEMAS or _CATALOG.fullmatch(name) is not None
    return known and name not in _NO_CATALOG


def calls_catalog(words: Sequence[Word]) -> bool:
    """Whether a function of the statement tells what the database knows of itself.

    Args:
        words: the statement's.
    """
    return any(word.is_call and is_catalog(word.text) for word in words)
