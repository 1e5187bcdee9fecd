"""The matrix as text: for a terminal, and for docs/types.md."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from tests.matrix import duckdb, mariadb, postgresql, sqlite
from tests.matrix.cells import CHANGED, EXACT, NOT_READ, REFUSED, Cell
from tests.matrix.options import OPTION_SETS
from tests.matrix.refusals import MADE, REFUSALS
from tests.matrix.stored import stored

_SIGNS = {EXACT: "=", REFUSED: "R", CHANGED: "!", NOT_READ: "-"}
_TYPES = {
    "SQLite": sqlite.TYPES,
    "DuckDB": duckdb.TYPES,
    "PostgreSQL": postgresql.TYPES,
    "MariaDB": mariadb.TYPES,
}
_SHAPES = {
    "SQLite": sqlite.SHAPES,
    "DuckDB": duckdb.SHAPES,
    "PostgreSQL": postgresql.SHAPES,
    "MariaDB": mariadb.SHAPES,
}


def legend() -> Iterator[str]:
    """What the signs and the columns of `table` mean."""
    yield "= exact    R refused, with its reason below    - pandas or the driver raises    ! CHANGED"
    for number, options in enumerate(OPTION_SETS):
        yield f"  {_letter(number)}  {options.name}"


def table(driver: str, cells: Iterable[Cell]) -> Iterator[str]:
    """One driver: a line for each type, a sign for each option set, then why."""
    cells = list(cells)
    rows: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for cell in cells:
        rows[cell.subject][cell.options] = _SIGNS[cell.outcome]
    width = max(map(len, rows))
    yield ""
    yield f"{driver:{width}}  {' '.join(map(_letter, range(len(OPTION_SETS))))}"
    for subject, signs in rows.items():
        yield f"{subject:{width}}  {' '.join(signs.get(options.name, ' ') for options in OPTION_SETS)}".rstrip()
    counts = Counter(cell.outcome for cell in cells)
    yield ", ".join(f"{counts[outcome]} {outcome}" for outcome in _SIGNS)
    for outcome in (CHANGED, REFUSED):
        for cell in cells:
            if cell.outcome == outcome:
                yield f"  {outcome}: {cell.subject}, {cell.options}: {cell.why}"
    reasons = Counter(cell.why.partition(":")[0] for cell in cells if cell.outcome == NOT_READ)
    yield from (f"  n/a: {count} x {reason}" for reason, count in reasons.most_common())


def _letter(number: int) -> str:
    return chr(ord("a") + number)


def how_it_rests() -> Iterator[str]:
    """For docs/types.md: in which type of the file values rest."""
    yield "| values | type in the file |"
    yield "| --- | --- |"
    for name, kind in stored():
        yield f"| {name} | {_code(kind)} |"


def what_is_refused() -> Iterator[str]:
    """For docs/types.md: the cells of the matrix that are refused."""
    yield "| driver | type | option set | the column or level | when |"
    yield "| --- | --- | --- | --- | --- |"
    for refusal in REFUSALS:
        when = [f"pandas {refusal.pandas}"] if refusal.pandas else []
        when += [f"where {refusal.where}"] if refusal.where else []
        yield (
            f"| {refusal.driver} | {_code(refusal.subject)} | {_code(refusal.options)} "
            f"| {_code(refusal.reason)} | {', '.join(when) or 'always'} |"
        )


def what_else_is_refused() -> Iterator[str]:
    """For docs/types.md: what is refused beside the matrix."""
    yield "| refused | said of it |"
    yield "| --- | --- |"
    for made in MADE:
        yield f"| {made.name} | {_code(made.reason)} |"


def what_is_read() -> Iterator[str]:
    """For docs/types.md: the types and shapes of results of each database."""
    yield "| database | types | results |"
    yield "| --- | --- | --- |"
    for database, types in _TYPES.items():
        names = ", ".join(_code(column.name) for column in types)
        yield f"| {database} | {names} | {', '.join(shape.name for shape in _SHAPES[database])} |"


MARKDOWN: dict[str, Callable[[], Iterator[str]]] = {
    "stored": how_it_rests,
    "refused": what_is_refused,
    "refused besides": what_else_is_refused,
    "read": what_is_read,
}
"""The generated parts of docs/types.md, by the names of the comments that they stand between."""


def with_generated_parts(document: str) -> str:
    """The document with its generated parts as they are now."""
    for name, lines in MARKDOWN.items():
        before, _, rest = document.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->\n")
        if not end:
            raise ValueError(f"the document has no part {name!r}")
        made = "\n".join(lines())
        document = f"{before}<!-- {name} -->\n\n{made}\n\n{end}{after}"
    return document


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"
