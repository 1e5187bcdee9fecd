"""The line outside this library from which it was called: where warnings belong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import PurePath
from types import FrameType, FunctionType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def _first_outside() -> FrameType:
    """The frame of the first caller outside this library."""
    frame = sys._getframe()  # noqa: SLF001  # as the warnings module itself does
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "sqlcache_nb"


def place_of(fault: BaseException) -> str:
    """Where this library was called that raised an error, for a person; "" where that is not known.

    Args:
        fault: what was raised, and came as far as its traceback says.

    Example:
        In a notebook's cell it reads `line 3`, in a module `helpers.py, line 12`.
    """
    outside, trace = None, fault.__traceback__
    while trace is not None and not _is_ours(trace.tb_frame):
        outside, trace = trace, trace.tb_next
    if outside is None or trace is None:
        return ""
    line, module = f"line {outside.tb_lineno}", outside.tb_frame.f_globals.get("__name__", "")
    if module == "__main__":
        return line
    if module.partition(".")[0] == "IPython":  # a magic, which is the whole cell
        return ""
    return f"{PurePath(outside.tb_frame.f_code.co_filename).name}, {line}"


def as_if_called_outside(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function so that its warnings show the line that called this library, and not one of ours.

    A library warns at the first line outside itself, which would be ours: the person would not see where, and
    of a DeprecationWarning, which Python shows for a person's own code only, nothing at all. Recording warnings
    and giving them anew is no way, since that is not safe with threads.

    Args:
        function: what to call, whose first caller outside its own library is taken for the person.
        args: its arguments.
        kwargs: its keyword arguments.

    Raises:
        Exception: whatever the function raises.

    Example:
        >>> as_if_called_outside(max, 1, 2)
        2
    """
    outside = _first_outside()
    code = _call.__code__.replace(
        co_filename=outside.f_code.co_filename,
        co_firstlineno=(outside.f_lineno or 1) - 1,  # of its `def`
    )
    known = {
        "__builtins__": outside.f_builtins,
        # What the warnings module asks for: whose code it is, and what it was warned of before.
        "__name__": outside.f_globals.get("__name__"),
        "__warningregistry__": outside.f_globals.setdefault("__warningregistry__", {}),
    }
    call: Callable[..., T] = FunctionType(code, known)
    try:
        return call(function, args, kwargs)
    except BaseException as fault:
        # Without the borrowed line, which a traceback would show a second time.
        below = fault.__traceback__ and fault.__traceback__.tb_next
        fault.__traceback__ = below and below.tb_next
        raise


def _call(function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return function(*args, **kwargs)
