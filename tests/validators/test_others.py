"""Validators that others have installed: real entry points, of which some are of no use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sqlcache_nb import ConfigError, Outcome, QueryCache, ValidatorWarning, validators
from tests.gate import QUERY

MODULE = """
class Third:
    name, strength, dialects, wants_tables = "third", "exact", frozenset({"sqlite", "lakehouse"}), False

    def token(self, probe):
        return "as ever"

third = Third()
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a module under a name of its own, whose object `third` is a validator, changed as one likes."""
    validators._others.cache_clear()

    def install(change: str = "", module: str = "of_a_third_party") -> None:
        folder = tmp_path / "site"
        about = folder / f"{module}-1.0.dist-info"
        about.mkdir(parents=True)
        (folder / f"{module}.py").write_text(f"{MODULE}\n{change}\n")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[sqlcache_nb.validators]\nlake = {module}:third\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)

    yield install
    validators._others.cache_clear()


USELESS = {
    "raise ImportError('no lakehouse')": "ImportError: no lakehouse",
    "third = None": "AttributeError: 'NoneType' object has no attribute 'name'",
    "del Third.name": "has no attribute 'name'",
    "third.name = None": "its name is None",
    "third.name = 'two words'": "its name is 'two words'",
    "third.name = 'file'": "another one is called file, too",
    "del Third.dialects": "has no attribute 'dialects'",
    "third.dialects = None": "its dialects are no set of names",
    "third.dialects = 'sqlite'": "its dialects are no set of names",
    "third.strength = 'very'": "its strength is 'very'",
    "third.wants_tables = None": "its wants_tables is neither True nor False",
    "third.token = 'as ever'": "its token is no function",
}


@pytest.mark.parametrize(("change", "told"), USELESS.items(), ids=USELESS)
def test_one_that_cannot_be_used_is_said_and_left_out(
    install: Install, cache: QueryCache, sales: Engine, change: str, told: str
) -> None:
    install(change)
    assert cache.read(QUERY, sales).outcome is Outcome.MISS
    with pytest.warns(ValidatorWarning, match=f"the validator lake .* cannot be used .*{told}"):
        assert validators.chosen(True, "lakehouse") is None
    for validate in (True, "auto"):
        assert cache.read(QUERY, sales, validate=validate).outcome is Outcome.HIT
    with pytest.raises(ConfigError, match="no validator of that name is installed"):
        cache.read(QUERY, sales, validate="third")


@pytest.mark.parametrize("change", ["", "third = Third"], ids=["object", "class"])
def test_one_that_can(install: Install, cache: QueryCache, sales: Engine, change: str) -> None:
    install(change)
    found = validators.chosen(True, "lakehouse")
    assert found is not None
    assert found.name == "third"
    outcomes = [cache.read(QUERY, sales, validate="third").outcome for _ in range(2)]
    assert outcomes == [Outcome.MISS, Outcome.HIT]
    (entry,) = cache.entry_list()
    assert entry.tokens["third"] == "as ever"


@pytest.mark.parametrize("token", ["b'as ever'", "7", "['as ever']", "object()"])
def test_a_token_that_is_no_text_is_no_answer(
    install: Install, cache: QueryCache, sales: Engine, token: str
) -> None:
    install(f"Third.token = lambda self, probe: {token}")
    with pytest.warns(ValidatorWarning, match="third gave no answer .*its token is no text"):
        cache.read(QUERY, sales, validate="third")
    assert cache.read(QUERY, sales, validate="third").outcome is Outcome.MISS
    assert cache.read(QUERY, sales).outcome is Outcome.HIT
