"""Print pip constraints that pin every dependency with a floor in pyproject.toml to that floor.

A resolver given these installs the lowest versions that the project promises to work with, and what fits them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

# The developers' own tools are no promise to anybody: they stay at their newest.
EXTRAS = ("duckdb", "postgres", "adbc", "demo")
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<floor>[\w.]+)")


def floors(pyproject: Path) -> list[str]:
    """The constraints, one for each dependency, in the file's order."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"]]
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    pinned = []
    for requirement in requirements:
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise SystemExit(f"{pyproject.name}: {requirement!r} has no floor of the form name>=version")
        pinned.append(f"{match['name']}=={match['floor']}")
    return pinned


if __name__ == "__main__":
    print("\n".join(floors(Path(__file__).parents[1] / "pyproject.toml")))
