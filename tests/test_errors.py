"""The error tree is the one that the module's docstring draws."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest

from sqlcache_nb import errors
from sqlcache_nb.errors import (
    ConfigError,
    EntryNotFound,
    NotCachedWarning,
    NotebookError,
    SqlcacheError,
    SqlcacheWarning,
    StoreWarning,
    UnsupportedSource,
)

CLASSES = {
    name: each
    for name, each in vars(errors).items()
    if inspect.isclass(each) and each.__module__ == errors.__name__
}


def drawn() -> dict[str, str]:
    """Each class of the docstring's tree, and the root that it is drawn under."""
    tree, root, above = {}, "", ""
    for line in (errors.__doc__ or "").splitlines():
        if re.fullmatch(r"    \w+", line):
            root = line.strip()
            tree[root] = "Exception" if root.endswith("Error") else "UserWarning"
        elif match := re.match(r"     (?:│    )?[├└]── (\w+)", line):
            is_below = line.startswith("     │    ")
            tree[match[1]] = above if is_below else root
            above = above if is_below else match[1]
    return tree


def test_the_drawing_shows_every_class_and_nothing_else() -> None:
    assert set(drawn()) == set(CLASSES)


@pytest.mark.parametrize(("name", "root"), drawn().items())
def test_a_class_stands_under_its_root(name: str, root: str) -> None:
    assert CLASSES[name].__mro__[1].__name__ == root


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (EntryNotFound, LookupError),
        (UnsupportedSource, TypeError),
        (SqlcacheWarning, UserWarning),
        (NotCachedWarning, UserWarning),
        (StoreWarning, UserWarning),
    ],
)
def test_an_error_is_also_the_builtin_that_people_catch(error: type, builtin: type) -> None:
    assert issubclass(error, builtin)


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_survives_the_way_between_processes(name: str) -> None:
    made: Any = CLASSES[name]
    error = pickle.loads(pickle.dumps(made("a sentence")))
    assert (type(error).__name__, str(error)) == (name, "a sentence")


def test_a_notebook_shows_one_line_and_no_traceback() -> None:
    assert NotebookError("no such thing")._render_traceback_() == ["NotebookError: no such thing"]
    assert not hasattr(SqlcacheError, "_render_traceback_")
