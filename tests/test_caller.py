"""Warnings show the line that called this library."""

from __future__ import annotations

import inspect
import traceback
import warnings
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine

from sqlcache_nb import QueryCache, caller


def as_in_the_library(source: str) -> dict[str, Any]:
    """The names that a module of this library with this text would define."""
    names: dict[str, Any] = {"__name__": "sqlcache_nb.pretended", "caller": caller, "warnings": warnings}
    exec(compile(source, "pretended.py", "exec"), names)  # a module that warns, as ours do
    return names


LIBRARY = as_in_the_library(
    "def warn(kind):\n    return caller.as_if_called_outside(warnings.warn, 'told', kind)\n"
    "def fail():\n    return caller.as_if_called_outside(int, 'x')\n"
)


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_line_and_the_module_are_the_callers() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.resetwarnings()
        # As Python does for `__main__`: shown in code of one's own alone.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("default", category=DeprecationWarning, module=__name__)
        here = line() + 1
        LIBRARY["warn"](DeprecationWarning)
    assert [(warning.filename, warning.lineno) for warning in seen] == [(__file__, here)]


def test_a_line_is_warned_of_once() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.resetwarnings()
        for _ in range(3):
            LIBRARY["warn"](UserWarning)
    assert len(seen) == 1


def test_an_error_passes_through_without_a_borrowed_line() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        LIBRARY["fail"]()
    names = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert names == ["test_an_error_passes_through_without_a_borrowed_line", "fail"]


@pytest.mark.skipif(pd.__version__ < "3", reason="pandas 2 does not warn of a format for numbers")
@pytest.mark.parametrize("options", [{}, {"chunksize": 3}], ids=str)
def test_pandas_own_warnings_show_where_it_was_asked(
    cache: QueryCache, sales: Engine, options: dict[str, Any]
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        here = line() + 1
        frame = cache.read_sql("select 20240101 as d", sales, parse_dates={"d": "%Y%m%d"}, **options)
        list(frame)
    assert {warning.filename for warning in seen} == {__file__}
    assert [warning.lineno - here for warning in seen] == ([1] if options else [0])


def test_the_place_of_a_fault_is_the_line_that_called() -> None:
    with pytest.raises(ValueError, match="x") as fault:
        LIBRARY["fail"]()
    assert caller.place_of(fault.value) == f"test_caller.py, line {line() - 1}"


def test_the_place_of_a_fault_that_is_not_ours_or_was_never_raised_is_not_known() -> None:
    with pytest.raises(ValueError, match="x") as fault:
        int("x")
    assert caller.place_of(fault.value) == caller.place_of(ValueError()) == ""
