"""Argument > environment > pyproject.toml > default."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from sqlcache_nb.config import Config, load, parse_size
from sqlcache_nb.errors import ConfigError, SqlcacheWarning
from sqlcache_nb.policy import Policy
from sqlcache_nb.retention import DEFAULT_UNUSED


def configured(folder: Path, *lines: str) -> Path:
    """A pyproject.toml with these lines in our table."""
    path = folder / "pyproject.toml"
    path.write_text("\n".join(["[tool.sqlcache_nb]", *lines]), encoding="utf-8")
    return path


def test_without_settings_there_are_defaults(tmp_path: Path) -> None:
    configured(tmp_path)  # stops the search below whatever the machine has further up
    found = load({}, tmp_path)
    assert found == Config(platformdirs.user_cache_path("sqlcache_nb", appauthor=False))
    assert (found.policy, found.size_limit, found.pyproject) == (Policy(), None, None)
    assert found.clear_unused == DEFAULT_UNUSED == 90 * 86_400


def test_the_environment_names_the_directory(tmp_path: Path) -> None:
    configured(tmp_path, 'dir = "elsewhere"')
    found = load({"SQLCACHE_NB_DIR": str(tmp_path / "here")}, tmp_path)
    assert (found.directory, found.pyproject) == (tmp_path / "here", None)


def test_an_empty_variable_counts_as_none(tmp_path: Path) -> None:
    configured(tmp_path, 'dir = "elsewhere"')
    assert load({"SQLCACHE_NB_DIR": ""}, tmp_path).directory == tmp_path / "elsewhere"


def test_the_process_environment_and_folder_are_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(tmp_path, 'ttl = "1h"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SQLCACHE_NB_DIR", "relative")
    found = load()
    assert (found.directory, found.policy) == (tmp_path / "relative", Policy(ttl="1h"))


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load({"SQLCACHE_NB_DIR": "~/answers"}, tmp_path).directory == tmp_path / "answers"
    configured(tmp_path, 'dir = "~/others"')
    assert load({}, tmp_path).directory == tmp_path / "others"


def test_the_nearest_pyproject_speaks(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "notebooks" / "deep"
    inner.mkdir(parents=True)
    configured(tmp_path, 'dir = "outer"', "ttl = 1")
    path = configured(tmp_path / "project", 'dir = "inner"', 'ttl = "7d"', 'size_limit = "500MB"')
    assert load({}, inner) == Config(path.parent / "inner", Policy(ttl="7d"), 500_000_000, path)


def test_values_of_parameters_may_be_kept_as_digests_alone(tmp_path: Path) -> None:
    configured(tmp_path, "store_params = false")
    assert not load({}, tmp_path).store_params


def test_replaced_versions_are_kept_or_not(tmp_path: Path) -> None:
    configured(tmp_path)
    assert load({}, tmp_path).keep == 1
    configured(tmp_path, "keep = 0")
    assert load({}, tmp_path).keep == 0
    assert load({"SQLCACHE_NB_KEEP": ""}, tmp_path).keep == 0
    assert load({"SQLCACHE_NB_KEEP": "1"}, tmp_path).keep == 1
    with pytest.raises(ConfigError, match=r"^keep='2' is neither 0 nor 1"):
        load({"SQLCACHE_NB_KEEP": "2"}, tmp_path)


@pytest.mark.parametrize("value", ["2", "-1", "true", '"all"', "1.0", "[1]"])
def test_no_other_number_of_versions_is_kept(tmp_path: Path, value: str) -> None:
    path = configured(tmp_path, f"keep = {value}")
    with pytest.raises(ConfigError) as refused:
        load({}, tmp_path)
    assert str(refused.value).startswith(f"[tool.sqlcache_nb] in {path}: keep=")


def test_room_is_a_matter_of_the_machine_whose_environment_comes_first(tmp_path: Path) -> None:
    configured(tmp_path, 'size_limit = "500MB"', 'clear_unused = "1w"')
    assert (load({}, tmp_path).size_limit, load({}, tmp_path).clear_unused) == (500_000_000, 604_800.0)
    found = load({"SQLCACHE_NB_SIZE_LIMIT": "2GiB", "SQLCACHE_NB_CLEAR_UNUSED": "never"}, tmp_path)
    assert (found.size_limit, found.clear_unused) == (2**31, math.inf)
    with pytest.raises(ConfigError, match="size_limit='much'"):
        load({"SQLCACHE_NB_SIZE_LIMIT": "much"}, tmp_path)


@pytest.mark.parametrize("never", ["0", "'never'", "'Never'", "'forever'", "0.0", "'0d'"])
def test_what_is_unused_may_stay_for_ever(tmp_path: Path, never: str) -> None:
    configured(tmp_path, f"clear_unused = {never}")
    assert load({}, tmp_path).clear_unused == math.inf


def test_a_file_may_say_all_that_a_call_may(tmp_path: Path) -> None:
    configured(
        tmp_path,
        *('ttl = "today"', "offline = true", "no_store = false", "validate = true"),
        *('stale_while_revalidate = "5m"', "stale_if_error = 86400"),
    )
    assert load({}, tmp_path).policy == Policy(
        ttl="today",
        offline=True,
        no_store=False,
        validate=True,
        stale_while_revalidate="5m",
        stale_if_error=86_400,
    )


def test_the_environment_says_it_louder(tmp_path: Path) -> None:
    configured(tmp_path, "ttl = 1", "offline = false", 'validate = "auto"', 'stale_if_error = "1h"')
    environ = {
        "SQLCACHE_NB_TTL": "1",
        "SQLCACHE_NB_OFFLINE": "1",
        "SQLCACHE_NB_NO_STORE": "0",
        "SQLCACHE_NB_VALIDATE": "False",
        "SQLCACHE_NB_REFRESH": " ",
    }
    assert load(environ, tmp_path).policy == Policy(
        ttl="1", offline=True, no_store=False, validate=False, stale_if_error="1h"
    )
    own = {"SQLCACHE_NB_VALIDATE": "select max(at) from t"}
    assert load(own, tmp_path).policy.validate == "select max(at) from t"
    with pytest.raises(ConfigError, match="SQLCACHE_NB_OFFLINE='perhaps' is neither 1 nor 0"):
        load({"SQLCACHE_NB_OFFLINE": "perhaps"}, tmp_path)


def test_the_nearest_pyproject_may_be_silent(tmp_path: Path) -> None:
    inner = tmp_path / "project"
    inner.mkdir()
    configured(tmp_path, "ttl = 1")
    (inner / "pyproject.toml").write_text("[tool.other]\nttl = 5\n", encoding="utf-8")
    assert load({}, inner).policy == Policy()


def test_an_absolute_directory_stays(tmp_path: Path) -> None:
    configured(tmp_path, f"dir = '{tmp_path / 'x'}'")
    assert load({}, tmp_path / "below").directory == tmp_path / "x"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["directory = 'x'"], r"unknown directory.*it knows dir, size_limit, .*ttl, refresh"),
        (["dir = 5"], "dir must be a path"),
        (["ttl = 'soon'"], "ttl='soon'"),
        (["ttl = true"], "ttl=True"),
        (["ttl = -1"], "ttl=-1"),
        (["size_limit = 'big'"], "size_limit='big'"),
        (["size_limit = -1"], "size_limit=-1"),
        (["size_limit = true"], "size_limit=True"),
        (["clear_unused = 'soon'"], "clear_unused='soon'"),
        (["clear_unused = -1"], "clear_unused=-1"),
        (["offline = 'yes'"], "offline='yes' is neither True nor False"),
        (["refresh = true", "no_store = true"], "cannot be had with no_store"),
        (["stale_if_error = 'forever'"], "stale_if_error='forever' is not a bounded time"),
        (["store_params = 'no'"], "store_params is true or false, not 'no'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said(tmp_path: Path, lines: list[str], words: str) -> None:
    configured(tmp_path, *lines)
    with pytest.raises(ConfigError, match=words):
        load({}, tmp_path)


@pytest.mark.parametrize("text", ["tool = 1", "[tool]\nsqlcache_nb = 'x'", "[[tool.sqlcache_nb]]\nttl = 1"])
def test_a_table_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="tool"):
        load({}, tmp_path)


@pytest.mark.parametrize("content", [b"[tool", b"\xff\xfe"])
def test_a_broken_pyproject_fails_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.warns(SqlcacheWarning, match="cannot be read"):
        found = load({}, tmp_path)
    assert found.policy == Policy()


def test_a_folder_of_that_name_is_passed_by(tmp_path: Path) -> None:
    configured(tmp_path, "ttl = 5")
    (tmp_path / "x" / "pyproject.toml").mkdir(parents=True)
    assert load({}, tmp_path / "x").policy.lifetime == 5.0


@pytest.mark.parametrize("ttl", ["'forever'", "inf"])
def test_for_ever_may_be_configured(tmp_path: Path, ttl: str) -> None:
    configured(tmp_path, f"ttl = {ttl}")
    assert load({}, tmp_path).policy.lifetime == math.inf


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (10, 10),
        ("10", 10),
        ("10b", 10),
        ("1.5kB", 1500),
        ("500MB", 500_000_000),
        ("500 mb", 500_000_000),
        (" 2GiB ", 2 * 2**30),
        ("2G", 2 * 10**9),
        ("2Gi", 2 * 2**30),
        ("1TiB", 2**40),
    ],
)
def test_a_size_is_understood(value: str | int, expected: int) -> None:
    assert parse_size(value) == expected


@pytest.mark.parametrize(
    "value", ["", "MB", "-1", "1 PB", "1e3", "two", "1,5GB", -1, True, 1.5, None, "9" * 400]
)
def test_what_is_no_size_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match="size_limit"):
        parse_size(value)


def test_a_working_directory_that_is_gone_means_no_pyproject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({"SQLCACHE_NB_DIR": str(tmp_path / "x")}).directory == tmp_path / "x"


def test_an_unknown_home_is_said() -> None:
    with pytest.raises(ConfigError, match="SQLCACHE_NB_DIR"):
        load({"SQLCACHE_NB_DIR": "~nobody-of-that-name/x"})


def test_a_bad_value_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.sqlcache_nb]\nttl = "soon"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"pyproject.toml: ttl="):
        load({}, tmp_path)
