"""Several statements in one cell: where one ends and the next begins.

A semicolon ends a statement only where nothing else can be meant: not in quotes, comments and dollar bodies,
and not in the body of a trigger, procedure or block, from its BEGIN to its END.
"""

from __future__ import annotations

from sqlcache_nb.notebook.lexer import Token, tokens

_WITH_BODY = frozenset("event function package procedure trigger".split())
# What BEGIN is followed by where it opens a transaction and no block.
_AFTER_BEGIN = frozenset(
    ["", ";", *"concurrent deferred exclusive immediate isolation read tran transaction work".split()]
)
_NO_WORK = frozenset({"", "oracle", "sqlite"})  # where BEGIN WORK is no transaction, but may call a procedure
# Loops and the like end with END LOOP; what opens them is not counted.
_AFTER_END = frozenset("for if loop repeat while".split())


def split(sql: str, dialect: str = "") -> tuple[str, ...]:
    """The statements, without the semicolons between them; comments stay with the statement that follows.

    Args:
        sql: the SQL, as typed.
        dialect: SQLAlchemy's name of the dialect: strings and comments are read as that database reads them.

    Returns:
        One statement or several; the SQL to the letter where it is a single one, and nothing where there
        is none.

    Example:
        >>> split("select ';'; select 2; -- the end")
        ("select ';'", 'select 2')
        >>> split("select 1;")
        ('select 1;',)
    """
    read = list(tokens(sql, dialect))
    code = [token.text.lower() for token in read if token.kind != "space"]
    following = iter([*code[1:], ""])
    pieces: list[str] = []
    piece, body = "", _Body(dialect)
    for token in [*read, Token("symbol", ";")]:
        if token.text == ";" and not body.is_open:
            pieces += [piece.strip()] if body.has_begun else []
            piece, body = "", _Body(dialect)
            next(following, "")
            continue
        piece += token.text
        if token.kind != "space":
            body.take(token.text.lower() if token.kind == "word" else "", next(following, ""))
    # A body without its END goes to the database as it is.
    pieces += [piece.strip().removesuffix(";")] if body.has_begun else []
    return tuple(pieces) if len(pieces) > 1 else (sql,) * len(pieces)


class _Body:
    """Whether the statement that is being read is inside a body.

    Args:
        dialect: SQLAlchemy's name of the dialect.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._words = 0
        self._first = ""
        self._has_body = False  # it may have one: a trigger, a procedure, a block
        self._before_begin = False  # declarations of Oracle's stand before the BEGIN, each with its semicolon
        self._depth = 0
        self._ended = False  # whether the word before was END: END CASE opens nothing

    @property
    def has_begun(self) -> bool:
        """Whether there is anything but spaces and comments."""
        return self._words > 0

    @property
    def is_open(self) -> bool:
        """Whether a semicolon does not end the statement here."""
        return self._depth > 0 or self._before_begin

    def take(self, word: str, after: str) -> None:
        """Go on by one token.

        Args:
            word: the token in lower case, "" for what is no word.
            after: the token behind it.
        """
        self._words += 1
        if self._words == 1:
            self._first = word
            is_transaction = after in _AFTER_BEGIN and not (after == "work" and self._dialect in _NO_WORK)
            self._has_body = word == "declare" or (word == "begin" and not is_transaction)
            self._before_begin = self._dialect == "oracle" and word == "declare"
        elif self._first == "create" and self._words < 8 and word in _WITH_BODY:
            self._has_body = True
            self._before_begin = self._dialect == "oracle"
        if not self._has_body:
            return
        if word == "begin" or (word == "case" and self._depth):
            self._depth += word == "begin" or not self._ended
            self._before_begin = False
        elif word == "end" and after not in _AFTER_END:
            self._depth = max(self._depth - 1, 0)
        self._ended = word == "end"
