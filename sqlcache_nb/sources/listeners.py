"""What listeners of somebody's own do, told by their code."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_EXECUTING = frozenset({"execute", "executemany", "exec_driver_sql", "callproc", "scalar", "scalars"})
_BY_NAME = frozenset({"getattr", "methodcaller", "attrgetter"})
_IMPLIED = ("__call__", "__init__", "__enter__", "__exit__")
_DEPTH = 12
_MOST = 300
"""Functions and objects that are looked at: so many lead to no statement any more."""

# What they do is known, and nothing that a listener calls of them runs a statement without being named so.
_KNOWN = frozenset({*sys.stdlib_module_names, "sqlalchemy", "pandas", "numpy", __name__.partition(".")[0]})


def executes(listener: Any) -> bool:
    """Whether a listener, or code that it calls, names an executing method: `SET LOCAL` for row-level security does.

    Functions are followed by the names in their code, through partials, methods, closures, modules and objects. Nothing
    is called, and the finding is not kept: a name may mean something else tomorrow.

    Args:
        listener: what was registered.
    """
    # With what is looked at: a number is of one object while it lives.
    seen: dict[tuple[int, frozenset[str]], Any] = {}
    level = [(listener, frozenset[str]())]
    for _ in range(_DEPTH):
        below = []
        for each, names in level:
            if (id(each), names) in seen:
                continue
            seen[id(each), names] = each
            if len(seen) > _MOST:
                return False
            function = each.__func__ if isinstance(each, MethodType) else each
            if any(not _EXECUTING.isdisjoint(_names(code)) for code in _codes(function)):
                return True
            below += _next(each, names)
        level = below
    return False


def _codes(each: Any) -> Iterator[CodeType]:
    """A function's code and that of the functions in it."""
    codes = [each.__code__] if isinstance(each, FunctionType) else []
    while codes:
        code = codes.pop()
        yield code
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    if names & _BY_NAME:
        names |= {each for each in code.co_consts if isinstance(each, str)}
    return names


def _next(each: Any, names: frozenset[str]) -> list[tuple[Any, frozenset[str]]]:
    """What a function may call, or what stands behind an object of which these names were used."""
    if isinstance(each, FunctionType):
        return _of_function(each)
    if isinstance(each, functools.partial):
        return [(part, names) for part in (each.func, *each.args, *each.keywords.values())]
    if isinstance(each, MethodType):
        used = names.union(*(_names(code) for code in _codes(each.__func__)))
        return [(each.__func__, frozenset()), (each.__self__, used)]
    if isinstance(each, staticmethod | classmethod):
        return [(each.__func__, names)]
    if isinstance(each, property):
        return [(part, names) for part in (each.fget,) if part is not None]
    if _home(each) in _KNOWN:
        return []
    found = [inspect.getattr_static(each, name, None) for name in {*names, *_IMPLIED}]
    is_module = isinstance(each, ModuleType)
    # A method looks for others where it was found.
    bound = [
        MethodType(part, each) if isinstance(part, FunctionType) and not is_module else part for part in found
    ]
    return [(part, names) for part in bound if part is not None]


def _of_function(function: Any) -> list[tuple[Any, frozenset[str]]]:
    names = frozenset().union(*(_names(code) for code in _codes(function)))
    places: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            places[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    places |= {f"default {n}": value for n, value in enumerate(function.__defaults__ or ())}
    places |= function.__kwdefaults__ or {}
    if _home(function) not in _KNOWN:  # else it is no more than what somebody's own was wrapped in
        known = function.__globals__
        package = known.get("__package__")
        for name in names:
            imported = sys.modules.get(name) or sys.modules.get(f"{package}.{name}")  # inside of it
            places.setdefault(name, known.get(name, imported))
    return [(value, names) for value in places.values() if value is not None]


def _home(each: Any) -> str:
    """The package of a function's code, or of an object's class."""
    if isinstance(each, ModuleType):
        return each.__name__.partition(".")[0]
    kind = each if isinstance(each, FunctionType | type) else type(each)
    return str(getattr(kind, "__module__", "")).partition(".")[0]
