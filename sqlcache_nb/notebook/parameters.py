"""`:name` in SQL: which colons are parameters, and which values they get.

A colon is a parameter only where nothing else can be meant: not in quotes, comments and dollar bodies,
not in `::casts` and `:=`, not right after an operand (`v:field`, `"SRC":city`, `12:30`), and not where it
parts the two sides of a slice or of a key and its value. Right after `[` nobody can tell, and so it is an
error. What is not sure to be a parameter goes to the database as it was typed, which then complains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, cast

from sqlcache_nb.errors import NotebookError
from sqlcache_nb.notebook.hints import did_you_mean
from sqlcache_nb.notebook.lexer import Token, tokens


@dataclass(frozen=True, slots=True)
class Parameter:
    """One place where a value goes.

    Args:
        name: the parameter's name.
        operator: the IN or NOT IN of which it is the whole right side, as typed, up to the next word:
            here a list may stand.
        before: the parenthesis before it in `IN (:name)`, to be dropped where a list expands.
        after: the parenthesis after it.
    """

    name: str
    operator: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL cut at its parameters.

    Args:
        pieces: text as it was typed, and the parameters between.
    """

    pieces: tuple[str | Parameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, each once, in the order of their first places."""
        return tuple(dict.fromkeys(p.name for p in self.pieces if isinstance(p, Parameter)))

    @property
    def typed(self) -> str:
        """The SQL to the letter."""
        return self.render(":{}".format)

    def lists(self, values: Mapping[str, object]) -> frozenset[str]:
        """The names whose values expand to a list: those of lists that stand after IN.

        Args:
            values: the parameters' values, as `plain` makes them.

        Raises:
            NotebookError: a list that stands after IN here and elsewhere there, or what is no list
                after IN.
        """
        parameters = [p for p in self.pieces if isinstance(p, Parameter)]
        for p in parameters:
            value = values[p.name]
            if p.operator and (isinstance(value, Mapping) or not (p.before or isinstance(value, list))):
                raise NotebookError(f":{p.name} is {a_or_an(value)}: IN takes a list")
        placed = [p for p in parameters if isinstance(values[p.name], list)]
        after_in = frozenset(p.name for p in placed if p.operator)
        if mixed := sorted(p.name for p in placed if not p.operator and p.name in after_in):
            raise NotebookError(
                f":{mixed[0]} is a list and stands both after IN and elsewhere: use two names"
            )
        return after_in

    def render(
        self,
        place: Callable[[str], str],
        text: Callable[[str], str] = str,
        lists: Mapping[str, Callable[[str], str]] = MappingProxyType({}),
    ) -> str:
        """The SQL with other text where the parameters were.

        Args:
            place: makes a name's placeholder.
            text: what is done to everything else.
            lists: for each name whose value is a list, what makes the comparison out of its operator;
                the parentheses around the name are dropped.
        """
        rendered = []
        for piece in self.pieces:
            if isinstance(piece, str):
                rendered.append(text(piece))
            elif piece.name in lists:
                rendered.append(lists[piece.name](piece.operator))
            else:
                around = text(piece.operator + piece.before), text(piece.after)
                rendered.append(place(piece.name).join(around))
        return "".join(rendered)

    def for_sqlalchemy(self, lists: Mapping[str, Callable[[str], str]] = MappingProxyType({})) -> str:
        r"""The SQL for `sqlalchemy.text()`, which takes more colons for parameters than we do.

        Args:
            lists: as in `render`.

        Example:
            >>> print(scan("select :x::int").for_sqlalchemy())
            select :x\:\:int
        """
        return self.render(":{}".format, lambda text: text.replace(":", r"\:"), lists)


def scan(sql: str, dialect: str = "") -> Statement:
    """Find the parameters.

    Args:
        sql: the SQL, as typed.
        dialect: SQLAlchemy's name of the dialect: backslashes in strings, nested comments, `#` and
            `[names]` are read as that database reads them.

    Raises:
        NotebookError: `[:name`, which can be a slice or a parameter.

    Example:
        >>> scan("select ':no', v:field, :yes::int where t > '12:30' and n in (:many)").names
        ('yes', 'many')
    """
    reader = _Reader()
    read = [reader.judged(token) for token in tokens(sql, dialect)]
    significant = [index for index, token in enumerate(read) if token.kind != "space"]
    pieces: list[str | Parameter] = []
    done = 0
    for place, index in enumerate(significant):
        if read[index].kind == "parameter":
            start, first, last = _comparison(read, significant, place)
            parameter = Parameter(
                name=read[index].text[1:],
                operator=_join(read[start:first]),
                before=_join(read[first:index]),
                after=_join(read[index + 1 : last + 1]),
            )
            pieces += [_join(read[done:start]), parameter]
            done = last + 1
    return Statement((*pieces, _join(read[done:])))


def look_up(
    names: Sequence[str],
    *scopes: Mapping[str, object],
    remedy: str = ": set it, or give --params",
) -> dict[str, object]:
    """The values of parameters among a notebook's variables.

    Args:
        names: the parameters' names.
        scopes: variables, the nearest scope first. Modules, classes and anything that can be called
            are not values, whatever their names.
        remedy: the end of the sentence about a name that is not defined.

    Returns:
        Each name's value, as `plain` makes it.

    Raises:
        NotebookError: a name that no scope has, or what no database takes; no value is shown.

    Example:
        >>> look_up(["carrier"], {"carrier": "UA", "print": print})
        {'carrier': 'UA'}
    """
    found = {}
    for name in names:
        scope = next((scope for scope in scopes if name in scope), None)
        if scope is None or not is_value(scope[name]):
            known = {known for scope in scopes for known, value in scope.items() if _offered(known, value)}
            fault = "not defined" if scope is None else _kind(scope[name])
            raise NotebookError(
                f":{name} is {fault}{did_you_mean(name, known - {name})}{remedy if scope is None else ''}"
            )
        if isinstance(scope[name], Iterator | MappingView):
            raise NotebookError(f":{name} is {a_or_an(scope[name])}: give a list")
        if type(scope[name]).__name__ == "DataFrame":
            raise NotebookError(f":{name} is a DataFrame: give one of its columns")
        found[name] = plain(scope[name])
    return found


def look_up_in(variable: str, names: Sequence[str], *scopes: Mapping[str, object]) -> dict[str, object]:
    """The values of parameters in the dict that `--params VARIABLE` names, and there alone.

    Args:
        variable: the variable's name.
        names: the parameters' names.
        scopes: where the variable is, the nearest scope first.

    Raises:
        NotebookError: no such variable, not a dict, or a name that the dict lacks.

    Example:
        >>> look_up_in("wanted", ["carrier"], {"wanted": {"carrier": "UA"}})
        {'carrier': 'UA'}
    """
    scope = next((scope for scope in scopes if variable in scope), None)
    if scope is None:
        known = {known for scope in scopes for known, value in scope.items() if isinstance(value, Mapping)}
        raise NotebookError(f"--params {variable}: not defined{did_you_mean(variable, known)}")
    given = scope[variable]
    if not isinstance(given, Mapping):
        raise NotebookError(f"--params {variable}: a dict is needed, not {a_or_an(given)}")
    return look_up(names, given, remedy=f" in --params {variable}")


def a_or_an(value: object) -> str:
    """What a value is, for a sentence.

    Example:
        >>> a_or_an(5), a_or_an("text")
        ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def is_value(thing: object) -> bool:
    """Whether a variable may be bound: no module, no class, nothing that can be called."""
    return not isinstance(thing, ModuleType) and not callable(thing)


def plain(value: object) -> object:
    """A value as drivers take it: lists for what can follow IN, Python's scalars for numpy's.

    sqlite3 binds `numpy.int64(5)` as eight bytes and then finds no rows; a set's order differs
    between two processes, and with it the question.

    Args:
        value: a variable's value.

    Example:
        >>> plain((1, 2)), plain({"b", "a"})
        ([1, 2], ['a', 'b'])
    """
    if isinstance(value, set | frozenset):
        return sorted(map(_plain_scalar, value), key=_order)
    if isinstance(value, list | tuple | range):
        return list(map(_plain_scalar, value))
    if _is_scientific(value) and getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):
        # not tolist(), which makes numbers of datetime64[ns]
        return list(map(_plain_scalar, cast("Iterable[object]", value)))
    return _plain_scalar(value)


def _is_scientific(value: object) -> bool:
    """Whether it is of numpy or pandas, which are not imported here."""
    return type(value).__module__.partition(".")[0] in {"numpy", "pandas"}


def _plain_scalar(value: Any) -> object:
    """Python's scalar for one of numpy or pandas, where it says exactly the same."""
    if not _is_scientific(value):
        return value
    match type(value).__name__:
        case "Timestamp":
            return value if value.nanosecond else value.to_pydatetime()
        case "Timedelta":
            return value if value.nanoseconds else value.to_pytimedelta()
        case "datetime64" | "timedelta64" as kind:
            return _plain_time(value, kind)
    if hasattr(value, "dtype") and value.dtype.kind in "biufSU" and not getattr(value, "shape", ()):
        return value.item()
    return value


def _plain_time(value: Any, kind: str) -> object:
    """Python's date, datetime or timedelta for numpy's, where it has one as exact; NaT stays."""
    item = value.item()
    if value.dtype.name == f"{kind}[ns]":  # of which numpy makes a number
        in_microseconds = value.astype(f"{kind}[us]")
        item = in_microseconds.item() if in_microseconds == value else None
    return value if item is None or isinstance(item, int) else item


def _order(value: object) -> tuple[str, Any]:
    """Sorts what cannot be compared by type, and each type by its own order."""
    comparable = isinstance(value, int | float | str | bytes)
    name = "number" if isinstance(value, int | float) else type(value).__name__
    return name, value if comparable else repr(value)


def _offered(name: object, value: object) -> bool:
    return isinstance(name, str) and not name.startswith("_") and is_value(value)


def _kind(thing: object) -> str:
    if isinstance(thing, ModuleType):
        return "a module, not a value"
    return "a class, not a value" if isinstance(thing, type) else "a function, not a value"


# Words after which an operand follows: here a colon in brackets or braces cannot part two sides.
_PREFIXES = frozenset(
    "and any all between by case distinct else from if ilike in interval is like limit not offset on or "
    "return select set some then using values when where".split()
)
_OPENING = {"(": ")", "[": "]", "{": "}"}


class _Reader:
    """Remembers what was read as far as the next colon's meaning depends on it."""

    def __init__(self) -> None:
        self._open: list[str] = []  # the brackets around, by their closing letters
        self._adjacent = Token("space", "")  # the token right before
        self._last = Token("symbol", "")  # the last one that is no space

    def judged(self, token: Token) -> Token:
        """The token, called a word where it only looks like a parameter."""
        if token.kind == "parameter":
            token = self._judged_colon(token)
        elif token.text in _OPENING:
            self._open.append(_OPENING[token.text])
        elif self._open and token.text == self._open[-1]:
            self._open.pop()
        self._adjacent = token
        if token.kind != "space":
            self._last = token
        return token

    def _judged_colon(self, token: Token) -> Token:
        before = self._adjacent
        if before.text == "[":
            raise NotebookError(
                f"[{token.text} can be a slice or a parameter: to bind a parameter there, write ({token.text})"
            )
        if _is_operand(before) or before.text in {"{", ".", "$", "\\"}:
            return token._replace(kind="word")
        if self._open and self._open[-1] in "]}" and self._parts_two_sides():
            return token._replace(kind="word")
        return token

    def _parts_two_sides(self) -> bool:
        last = self._last
        return _is_operand(last) and not (last.kind == "word" and last.text.lower() in _PREFIXES)


def _is_operand(token: Token) -> bool:
    """Whether a value, a name or a bracketed expression ends with the token."""
    return token.kind in {"word", "quoted", "parameter"} or token.text in {")", "]", "}"}


def _comparison(tokens: Sequence[Token], significant: Sequence[int], place: int) -> tuple[int, int, int]:
    """Where the `[NOT] IN` before a parameter begins, where its own part begins, and where that ends.

    Without an IN of which it is the whole right side, all three are the parameter itself.
    """

    def text(step: int) -> str:
        at = place + step
        return tokens[significant[at]].text.lower() if 0 <= at < len(significant) else ""

    if text(-1) == "in":
        first, last = 0, 0
    elif (text(-2), text(-1), text(1)) == ("in", "(", ")"):
        first, last = -1, 1
    else:
        return significant[place], significant[place], significant[place]
    start = first - 2 if text(first - 2) == "not" else first - 1
    return significant[place + start], significant[place + first], significant[place + last]


def _join(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens)
