"""Prints the matrix: `python -m tests.matrix [DRIVER ...]`; `--write` brings docs/types.md up to date instead."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tests import servers
from tests.matrix.cells import CHANGED, cells
from tests.matrix.drivers import DRIVERS, Database, open_database
from tests.matrix.report import legend, table, with_generated_parts

DOCS = Path(__file__).parents[2] / "docs" / "types.md"


def main() -> int:
    """Prints it; 1 where a cell has changed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("drivers", nargs="*", metavar="DRIVER", help="by default, all")
    parser.add_argument("--write", action="store_true", help="write the generated parts of docs/types.md")
    asked = parser.parse_args()
    if asked.write:
        DOCS.write_text(with_generated_parts(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    _say(legend())
    changed = 0
    databases: dict[str, Database | None] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for driver in DRIVERS:
            if asked.drivers and driver.name not in asked.drivers:
                continue
            if driver.database not in databases:
                databases[driver.database] = _opened(driver.database, Path(folder), stack)
            database = databases[driver.database]
            if database is not None:
                found = list(cells(driver, database))
                changed += sum(cell.outcome == CHANGED for cell in found)
                _say(table(driver.name, found))
    return int(changed > 0)


def _opened(name: str, folder: Path, stack: ExitStack) -> Database | None:
    try:
        database = stack.enter_context(open_database(name, folder))
    except servers.NoServer as fault:
        _say(["", f"{name}: {fault}"])
        return None
    for what, needs in database.missing.items():
        _say(["", f"{name} has no {what} here: that needs {needs}"])
    return database


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
