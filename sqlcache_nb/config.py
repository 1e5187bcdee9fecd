"""Settings: argument > environment > pyproject.toml > default."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlcache_nb.errors import ConfigError, SqlcacheWarning, warn
from sqlcache_nb.freshness import DEFAULT_TTL, Ttl, parse_ttl
from sqlcache_nb.retention import DEFAULT_UNUSED

ENVIRONMENT_VARIABLE = "SQLCACHE_NB_DIR"
_TABLE = "tool.sqlcache_nb"
_SETTINGS = ("dir", "ttl", "size_limit", "clear_unused", "store_params")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force.

    Args:
        directory: where results are kept.
        ttl: seconds for which a result is fresh by default.
        size_limit: bytes of payloads that are kept at most; None where nobody says.
        pyproject: the pyproject.toml that chose the directory, or None.
        store_params: whether the values of parameters are kept readable, and not as digests alone.
        clear_unused: seconds after which what nobody has used is deleted; `math.inf` for never.
    """

    directory: Path
    ttl: float = DEFAULT_TTL
    size_limit: int | None = None
    pyproject: Path | None = None
    store_params: bool = True
    clear_unused: float = DEFAULT_UNUSED


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
        ttl = parse_ttl(table.get("ttl", DEFAULT_TTL))
        size_limit = parse_size(table["size_limit"]) if "size_limit" in table else None
        clear_unused = parse_unused(table.get("clear_unused", DEFAULT_UNUSED))
    except ConfigError as fault:
        raise ConfigError(f"[{_TABLE}] in {pyproject}: {fault}") from None
    if text := environ.get("SQLCACHE_NB_SIZE_LIMIT"):
        size_limit = parse_size(text)
    if text := environ.get("SQLCACHE_NB_CLEAR_UNUSED"):
        clear_unused = parse_unused(text)
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
    return Config(directory, ttl, size_limit, chosen_here, store_params, clear_unused)


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
        return parse_ttl(value) or math.inf
    except ConfigError:
        pass
    raise ConfigError(f'clear_unused={value!r} is not a time: give "90d", "12w", seconds, or "never"')


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
