"""What makes values of what a server sends: a driver's own code, as it comes, or something else."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from sqlcache_nb.errors import NotCacheable
from sqlcache_nb.sources.postgresql import FIRST_OID

_PSYCOPG = frozenset({"psycopg", "psycopg_binary", "psycopg_c"})
_HSTORE = "psycopg.types.hstore"
# SQLAlchemy registers them on each connection of psycopg2: https://docs.sqlalchemy.org/en/20/dialects/postgresql.html
_UUIDS = frozenset({(2950, "UUID"), (2951, "UUID[]")})
_HSTORES = frozenset({"HSTORE", "HSTOREARRAY"})


def is_of(raw: Any, module: str, name: str) -> bool:
    """Whether a connection is of a driver's class: who has one has loaded the driver."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(raw, kind)


def replaced(raw: Any) -> dict[str, str]:
    """Which of a driver's own converters stand in another's place in a PostgreSQL connection, by their names.

    Args:
        raw: the driver's connection.

    Raises:
        NotCacheable: values are made by code of somebody's own, which has no identity.
    """
    if is_of(raw, "psycopg", "Connection"):
        return _of_psycopg(raw)
    if is_of(raw, "psycopg2.extensions", "connection"):
        _check_psycopg2(raw)
    elif is_of(raw, "pg8000.core", "CoreConnection"):
        _check_pg8000(raw)
    return {}


def are_set(converters: dict[str, str]) -> bool:
    """Whether somebody has set some of them: hstore's are SQLAlchemy's, wherever the database has that type."""
    return not all(each.startswith(_HSTORE) for each in converters.values())


def _refuse() -> NotCacheable:
    return NotCacheable("the connection converts values by code of somebody's own, which has no identity")


def _of_psycopg(con: Any) -> dict[str, str]:
    import psycopg

    if con.row_factory is not psycopg.rows.tuple_row or con.cursor_factory is not psycopg.Cursor:
        raise NotCacheable("the connection has a row_factory or cursor_factory of its own")
    plain, tables = _plain_psycopg(), _tables(con.adapters)
    if plain == tables:
        return {}
    found: dict[str, str] = {}
    hstore = con.adapters.types.get("hstore")
    arrays = {hstore.array_oid} if hstore is not None else set()
    for number, (known, table) in enumerate(zip(plain, tables, strict=True)):
        for what, kind in table.items():
            if kind is not known.get(what):
                found[f"{number} {what}"] = f"{_HSTORE} as an array" if what in arrays else _named(kind)
    return found


@cache
def _plain_psycopg() -> list[dict[Any, Any]]:
    """The converters of a psycopg that nobody has changed for the whole process."""
    import psycopg

    try:
        from psycopg import dbapi20, postgres
        from psycopg.types import TypesRegistry, array

        maps = psycopg.adapt.AdaptersMap(types=TypesRegistry())
        postgres.register_default_types(maps.types)
        postgres.register_default_adapters(maps)
        array.register_all_arrays(maps)
        dbapi20.register_dbapi20_adapters(maps)
    except (ImportError, AttributeError):  # a psycopg that is set up otherwise
        maps = psycopg.adapters
    return [dict(each) for each in _tables(maps)]


def _tables(maps: Any) -> list[dict[int | str, Any]]:
    """Converters by the number of a type of the server, or by the name of a class, which psycopg looks up late."""
    tables = [*maps._loaders, *maps._dumpers.values()]  # noqa: SLF001  # told nowhere else
    return [
        {
            what if isinstance(what, int | str) else f"{what.__module__}.{what.__qualname__}": kind
            for what, kind in table.items()
        }
        for table in tables
    ]


def _named(kind: Any) -> str:
    """The name of one of psycopg's own classes.

    Raises:
        NotCacheable: it is none, or was made with a function in it, as `set_json_loads` does.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] not in _PSYCOPG:
        raise _refuse()
    if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is kind or kind.__module__ == _HSTORE:
        return name
    base = kind.__mro__[1]
    if hasattr(kind, "base_oid") and getattr(sys.modules[base.__module__], base.__qualname__, None) is base:
        return f"{name} of {kind.base_oid}"  # an array
    raise _refuse()


def _check_psycopg2(con: Any) -> None:
    for types in (con.string_types, con.binary_types):
        for oid, kind in types.items():
            is_hstore = oid >= FIRST_OID and kind.name in _HSTORES
            if (oid, kind.name) not in _UUIDS and not is_hstore:
                raise _refuse()


def _check_pg8000(con: Any) -> None:
    from pg8000.converters import PG_TYPES, PY_TYPES, string_in

    # A type that it does not know has no converter until it is met.
    known = {oid: made for oid, made in con.pg_types.items() if oid in PG_TYPES or made is not string_in}
    # SQLAlchemy registers its own kind of str.
    own = {
        kind: made
        for kind, made in con.py_types.items()
        if not (made is PY_TYPES[str] and getattr(kind, "__module__", "").startswith("sqlalchemy."))
    }
    if known != PG_TYPES or own != PY_TYPES:
        raise _refuse()
