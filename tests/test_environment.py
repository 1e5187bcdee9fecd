"""environment.yml asks conda for what pyproject.toml asks pip for, with the same floors."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
EXTRAS = ("duckdb", "postgres", "adbc", "demo", "lab")
CONDA_NAMES = {
    "diskcache": "python-diskcache",
    "duckdb": "python-duckdb",
    "xxhash": "python-xxhash",
}


def bound(requirement: str) -> tuple[str, str]:
    """`Name[extra]>=1.2` as a name in small letters and a floor without closing zeros."""
    match = re.fullmatch(r"([\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*([\d.]+)", requirement)
    assert match, f"{requirement!r} is not of the form name>=version"
    return match[1].lower(), re.sub(r"(\.0)+$", "", match[2])


@pytest.fixture(scope="module")
def project() -> dict[str, dict[str, str]]:
    """Floors by name: "python", "pip" (the requirements, by their names in pip's index)."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*table["dependencies"]]
    for extra in EXTRAS:
        requirements += table["optional-dependencies"][extra]
    wanted = [text for text in requirements if not text.startswith(f"{table['name']}[")]
    return {
        "python": {"python": table["requires-python"].removeprefix(">=")},
        "requirements": dict(map(bound, wanted)),
    }


@pytest.fixture(scope="module")
def lines() -> dict[str, list[str]]:
    """The dependencies for conda, and those for pip.

    The file is of so plain a shape that no YAML library is needed to read it: one dependency a line,
    pip's indented deeper.
    """
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    items = re.findall(r"^( +)- (\S.*[^:\n])$", text.split("\ndependencies:\n")[1], re.MULTILINE)
    return {
        "conda": [item for indent, item in items if len(indent) == 2],
        "pip": [item for indent, item in items if len(indent) > 2],
    }


def test_every_line_for_conda_is_a_match_spec(lines: dict[str, list[str]]) -> None:
    assert len(lines["conda"]) > 10
    for line in lines["conda"]:
        assert MatchSpec(line).name is not None, line


def test_python_has_the_same_floor(lines: dict[str, list[str]], project: dict[str, dict[str, str]]) -> None:
    (python,) = [line for line in lines["conda"] if line.startswith("python ")]
    assert dict([bound(python)]) == project["python"]


def test_names_and_floors_are_those_of_pyproject(
    lines: dict[str, list[str]], project: dict[str, dict[str, str]]
) -> None:
    conda: dict[str, str] = {}
    for line in lines["conda"]:
        spec = MatchSpec(line)
        name = str(getattr(spec.name, "normalized", spec.name))
        if name not in {"python", "pip"}:
            assert spec.version is not None, f"{line} has no floor"
            conda.update([bound(f"{name}{spec.version}")])
    pip = dict(bound(line) for line in lines["pip"] if not line.startswith("--"))
    expected = {
        name if name in pip else CONDA_NAMES.get(name, name): floor
        for name, floor in project["requirements"].items()
    }
    assert conda | pip == expected
    assert not conda.keys() & pip.keys()


def test_the_package_itself_is_installed_from_the_checkout(lines: dict[str, list[str]]) -> None:
    assert "--editable ." in lines["pip"]
