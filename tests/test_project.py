"""The project's files agree with each other and with the package."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import re
import shutil
import sqlite3
import subprocess
import textwrap
import tomllib
import warnings
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import sqlcache_nb
from sqlcache_nb import Policy, Probe, Strength, Validator, config, validators
from sqlcache_nb.errors import SqlcacheWarning
from sqlcache_nb.identity import SourceIdentity
from sqlcache_nb.notebook import grammar

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Written in two parts, so that this file does not name them either.
REGISTRY_HOSTS = [
    f"{name}.{end}"
    for name, end in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("debian", "org"),
    ]
]
HOME = re.compile(r"/(?:home|Users)/(?!me/|ann/|you/)[\w.-]+/|/root/")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project_files() -> list[Path]:
    """Every text file that is in git."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout: what belongs to the project is known to git alone")
    listed = subprocess.run(
        [git, "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))


def make_commands(document: str) -> set[str]:
    """The targets named in `make TARGET` and in lines that begin with it, without variables and comments."""
    code = re.findall(r"`make ([^`]*)`|^make ([^#\n]*)", document, re.MULTILINE)
    plain = (re.sub(r'\w+=(?:"[^"]*"|\S+)', " ", " ".join(pair)) for pair in code)
    return {word for text in plain for word in re.split(r"[^\w-]+", text) if word}


# --- what is said is there -------------------------------------------------------------------------


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_every_make_command_named_is_a_target(document: str) -> None:
    named = make_commands(text_of(document))
    assert named
    assert named <= targets()


def test_the_readme_begins_with_the_two_commands() -> None:
    first_screen = "\n".join(text_of("README.md").splitlines()[:45])
    assert {"demo", "test"} <= make_commands(first_screen)


def test_the_makefile_installs_extras_that_exist() -> None:
    asked_for = set(re.findall(r"\$\(VENV\)/has-([a-z]+)", text_of("Makefile")))
    assert asked_for <= PYPROJECT["project"]["optional-dependencies"].keys()


def test_the_readme_names_every_public_thing_and_no_other() -> None:
    readme = text_of("README.md")
    for name in sqlcache_nb.__all__:
        assert re.search(rf"\b{name}\b", readme), f"README.md does not mention {name}"
    for name in re.findall(r"from sqlcache_nb import ([\w, ]+)", readme):
        assert {part.strip() for part in name.split(",")} <= set(sqlcache_nb.__all__)


def test_the_readme_knows_the_options_of_the_magic_and_no_others() -> None:
    readme = text_of("README.md")
    section = readme.split("\n## The magic\n")[1].split("\n## ")[0]
    options = {
        f"--{field.name.replace('_', '-')}"
        for dataclass in (grammar.Options, grammar.Clear, grammar.Invalidate, grammar.Check)
        for field in fields(dataclass)
    }
    assert set(re.findall(r"--[a-z][a-z-]*", section)) == options
    for verb in grammar.USAGE:
        assert f"%cachedsql {verb}" in section


def test_the_readme_knows_the_settings_and_no_others() -> None:
    readme = text_of("README.md")
    section = readme.split("\n## Where things are\n")[1].split("\n## ")[0]
    table = tomllib.loads(textwrap.dedent(section.split("```toml\n")[1].split("```")[0]))
    assert table["tool"]["sqlcache_nb"].keys() == set(config._SETTINGS)
    assert {f"SQLCACHE_NB_{each.name.upper()}" for each in fields(Policy)} <= set(
        re.findall(r"SQLCACHE_NB_\w+", section)
    )


def test_the_readmes_validator_tells(tmp_path: Path) -> None:
    section = text_of("README.md").split("\n## Validators\n")[1].split("\n## ")[0]
    names: dict[str, Any] = {}
    exec(section.split("```python\n")[1].split("```")[0], names)  # what is there, as one would type it
    validator: Validator = names["load_log"]
    entry_point = tomllib.loads(section.split("```toml\n")[1].split("```")[0])
    group = entry_point["project"]["entry-points"][validators.GROUP]
    assert group[validator.name].rpartition(":")[2] == "load_log"
    with closing(sqlite3.connect(tmp_path / "load.db")) as con, con:
        probe = Probe(SourceIdentity("sqlite", "pysqlite"), lambda sql: con.execute(sql).fetchall())
        con.execute("create table load_log (finished_at text)")
        assert validator.token(probe) is None
        con.execute("insert into load_log values ('2026-11-21')")
        assert validator.token(probe) == "2026-11-21"
    assert validator.strength is Strength.HEURISTIC
    assert "sqlite" in validator.dialects
    assert validator.wants_tables is False


def test_versions_agree() -> None:
    version = PYPROJECT["project"]["version"]
    changelog = text_of("CHANGELOG.md")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, re.MULTILINE)
    assert sqlcache_nb.__version__ == version
    assert "## [Unreleased]" in changelog
    assert version in changelog
    assert not released or released[0] <= version


def test_types_are_shipped() -> None:
    assert (ROOT / "sqlcache_nb" / "py.typed").exists()


# --- what is said runs -----------------------------------------------------------------------------


def module_names() -> list[str]:
    found = pkgutil.walk_packages(sqlcache_nb.__path__, prefix="sqlcache_nb.")
    return ["sqlcache_nb", *(module.name for module in found)]


@pytest.mark.parametrize("name", module_names())
def test_the_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLCACHE_NB_DIR", str(tmp_path / "cache"))
    module = importlib.import_module(name)
    with warnings.catch_warnings():
        # An example may show what is not cached, and that warns.
        warnings.simplefilter("ignore", SqlcacheWarning)
        assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


# --- nothing of one machine ------------------------------------------------------------------------


def test_no_file_names_a_registry_or_a_place_on_one_machine() -> None:
    faults = []
    for path in project_files():
        text = path.read_text(encoding="utf-8")
        found = [host for host in REGISTRY_HOSTS if host in text]
        found += [match[0] for match in HOME.finditer(text) if path != Path(__file__).resolve()]
        # A checkout at the root's first level ("/src") is too short a name to look for.
        found += [str(ROOT)] if len(ROOT.parts) > 2 and str(ROOT) in text else []
        faults += [f"{path.relative_to(ROOT)}: {what}" for what in found]
    assert not faults


# --- the quickstart --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    notebook: dict[str, Any] = json.loads(text_of("notebooks/quickstart.ipynb"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> str:
    parts = [output.get("text") or output["data"].get("text/plain", []) for output in cell["outputs"]]
    return "\n".join("".join(part) for part in parts)


def test_the_quickstart_was_run_from_top_to_bottom_without_a_fault(
    cells: list[dict[str, Any]],
) -> None:
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert not [output for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"]


def test_the_quickstart_shows_its_provenance(cells: list[dict[str, Any]]) -> None:
    magics = [cell for cell in cells if "".join(cell["source"]).startswith("%%cachedsql")]
    lines = [shown(cell) for cell in magics]
    assert len(lines) > 3
    assert all(
        re.search(r"^(miss: (?:first time|same SQL, .*)|hit) · .*flights\.db", line, re.MULTILINE)
        for line in lines
    )
    assert any("hit · fetched" in line for line in lines)


def test_the_quickstart_keeps_no_timing_of_one_run(cells: list[dict[str, Any]]) -> None:
    assert not [cell for cell in cells if "execution" in cell["metadata"]]
