"""Settings: argument > environment > pyproject.toml > default."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sqlcache_nb.errors import ConfigError, SqlcacheWarning, warn
from sqlcache_nb.lifetime import Ttl, parse_age
from sqlcache_nb.policy import Policy
from sqlcache_nb.retention import DEFAULT_UNUSED

_PREFIX = "SQLCACHE_NB_"
ENVIRONMENT_VARIABLE = f"{_PREFIX}DIR"
_TABLE = "tool.sqlcache_nb"
_POLICY = tuple(each.name for each in fields(Policy))
_SETTINGS = ("dir", "size_limit", "clear_unused", "store_params", "keep", *_POLICY)
_TIMES = frozenset({"ttl", "stale_while_revalidate", "stale_if_error"})
_SWITCHES = frozenset({"refresh", "no_store", "offline"})
_WORDS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.ASCII)


_NOTHING_SAID = Policy()


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force.

    Args:
        directory: where results are kept.
        policy: what holds where nobody says otherwise.
        size_limit: bytes of payloads that are kept at most; None where nobody says.
        pyproject: the pyproject.toml that chose the directory, or None.
        store_params: whether the values of parameters are kept readable, and not as digests alone.
        clear_unused: seconds after which what nobody has used is deleted; `math.inf` for never.
        keep: how many replaced versions of an answer are kept, 0 or 1.
    """

    directory: Path
    policy: Policy = _NOTHING_SAID
    size_limit: int | None = None
    pyproject: Path | None = None
    store_params: bool = True
    clear_unused: float = DEFAULT_UNUSED
    keep: int = 1


def load(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Config:
    """The settings of this process.

    Args:
        environ: environment variables (default: those of the process).
        start: the folder from which the nearest pyproject.toml is looked for, upwards
            (default: the working directory).

    Raises:
        ConfigError: a value in pyproject.toml or in the environment that cannot be understood.

    Example:
        >>> load({"SQLCACHE_NB_DIR": "~/answers"}).directory.name
        'answers'
    """
    environ = os.environ if environ is None else environ
    pyproject, table = _nearest_table(start)
    if unknown := table.keys() - set(_SETTINGS):
        names = ", ".join(sorted(unknown))
        raise ConfigError(f"[{_TABLE}] in {pyproject}: unknown {names}; it knows {', '.join(_SETTINGS)}")
    try:
        policy = Policy(**{name: table[name] for name in _POLICY if name in table})
        size_limit = parse_size(table["size_limit"]) if "size_limit" in table else None
        clear_unused = parse_unused(table.get("clear_unused", DEFAULT_UNUSED))
        keep = parse_keep(table.get("keep", 1))
    except ConfigError as fault:
        raise ConfigError(f"[{_TABLE}] in {pyproject}: {fault}") from None
    policy = _policy_of(environ).over(policy)
    if text := environ.get("SQLCACHE_NB_SIZE_LIMIT"):
        size_limit = parse_size(text)
    if text := environ.get("SQLCACHE_NB_CLEAR_UNUSED"):
        clear_unused = parse_unused(text)
    if text := environ.get("SQLCACHE_NB_KEEP"):
        keep = parse_keep(text)
    store_params = table.get("store_params", True)
    if not isinstance(store_params, bool):
        raise ConfigError(f"[{_TABLE}] in {pyproject}: store_params is true or false, not {store_params!r}")
    given, chosen_here = environ.get(ENVIRONMENT_VARIABLE), None
    if given:
        directory = _expanded(given, ENVIRONMENT_VARIABLE).absolute()
    elif pyproject is not None and "dir" in table:
        if not isinstance(table["dir"], str):
            raise ConfigError(f"[{_TABLE}] in {pyproject}: dir must be a path, not {table['dir']!r}")
        where = f"dir in {pyproject}"
        directory = pyproject.parent.absolute() / _expanded(table["dir"], where)
        chosen_here = pyproject
    else:
        directory = _user_cache_directory()
    return Config(directory, policy, size_limit, chosen_here, store_params, clear_unused, keep)


def _policy_of(environ: Mapping[str, str]) -> Policy:
    """What the environment says: `SQLCACHE_NB_OFFLINE=1`, `SQLCACHE_NB_TTL=1h`, and so on."""
    given: dict[str, Any] = {}
    for name in _POLICY:
        variable = f"{_PREFIX}{name.upper()}"
        if not (text := environ.get(variable, "").strip()):
            continue
        given[name] = _WORDS.get(text.lower(), text) if name not in _TIMES else text
        if name in _SWITCHES and not isinstance(given[name], bool):
            raise ConfigError(f"{variable}={text!r} is neither 1 nor 0")
        try:
            Policy(**{name: given[name]})
        except ConfigError as fault:
            raise ConfigError(f"{variable} in the environment: {fault}") from None
    return Policy(**given)


def _expanded(path: str, where: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as fault:  # ~somebody, whom this machine does not know
        raise ConfigError(f"{where}: {path!r} is not a path: {fault}") from fault


def parse_size(value: str | int) -> int:
    """Bytes of a size.

    Args:
        value: bytes, or a number with a unit: "500MB" (10**6), "2GiB" (2**30).

    Raises:
        ConfigError: anything else.

    Example:
        >>> parse_size("2GiB")
        2147483648
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip().lower())):
        base = 1024 if match[3] else 1000
        size = float(match[1]) * base ** " kmgt".index(match[2] or " ")
        if size < 2**63:
            return int(size)
    raise ConfigError(f'size_limit={value!r} is not a size: give bytes, "500MB" or "2GiB"')


def parse_unused(value: Ttl) -> float:
    """Seconds after which what nobody has used is deleted.

    Args:
        value: as a ttl: "90d", seconds, a timedelta; or "never", as is 0.

    Raises:
        ConfigError: anything else.

    Example:
        >>> parse_unused("90d"), parse_unused("never"), parse_unused(0)
        (7776000.0, inf, inf)
    """
    if isinstance(value, str) and value.strip().lower() == "never":
        return math.inf
    try:
        return parse_age(value) or math.inf
    except ConfigError:
        pass
    raise ConfigError(f'clear_unused={value!r} is not a time: give "90d", "12w", seconds, or "never"')


def parse_keep(value: int | str) -> int:
    """How many replaced versions of an answer are kept.

    Args:
        value: 0 or 1, also as a text.

    Raises:
        ConfigError: anything else.

    Example:
        >>> parse_keep("0"), parse_keep(1)
        (0, 1)
    """
    text = value.strip() if isinstance(value, str) else repr(value)  # a bool is no number here
    if text in {"0", "1"}:
        return int(text)
    raise ConfigError(f"keep={value!r} is neither 0 nor 1: how many replaced versions of an answer are kept")


def _user_cache_directory() -> Path:
    import platformdirs  # only when nothing else names a directory

    return platformdirs.user_cache_path("sqlcache_nb", appauthor=False)


def _nearest_table(start: Path | None) -> tuple[Path | None, dict[str, Any]]:
    """The nearest pyproject.toml at or above `start`, and its table (empty where it has none)."""
    try:
        start = Path.cwd() if start is None else start
    except OSError:  # the working directory was deleted
        return None, {}
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError:  # none here, or not ours to read: look further up
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            # Somebody's half-edited file, perhaps of another tool: no reason to fail a query.
            warn(f"{path} cannot be read ({fault}): defaults apply", SqlcacheWarning)
            return None, {}
        table: Any = document
        for name in _TABLE.split("."):
            table = table.get(name, {}) if isinstance(table, dict) else table
        if not isinstance(table, dict):
            raise ConfigError(f"{_TABLE} in {path} must be a table: [{_TABLE}]")
        return path, table
    return None, {}
