"""The plain function says its line in the notebook, and nowhere else."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

from sqlcache_nb.errors import NotCachedWarning
from sqlcache_nb.notebook import load_ipython_extension, unload_ipython_extension

if TYPE_CHECKING:
    from tests.notebook.conftest import Notebook

READ = "from sqlcache_nb import cached_read_sql\nframe = cached_read_sql('SELECT * FROM flights', db)"


def test_the_plain_function_says_what_it_did(notebook: Notebook) -> None:
    notebook.run(READ)
    assert notebook.shown.startswith("miss: first time · flights.db · 4 x 4 · took ")
    notebook.run(READ)
    assert notebook.shown.startswith("hit · fetched ")
    assert len(notebook.shown.strip().splitlines()) == 1


def test_the_magic_says_its_line_once(notebook: Notebook) -> None:
    notebook.run("%%cachedsql db out <<\nSELECT * FROM flights")
    assert notebook.shown.count("flights.db") == 1


def test_quiet_is_quiet_for_both(notebook: Notebook) -> None:
    notebook.run("%config CachedSQLMagics.quiet = True")
    notebook.run(READ)
    assert notebook.shown == ""


def test_unloading_leaves_the_logger_as_it_was(notebook: Notebook) -> None:
    logger = logging.getLogger("sqlcache_nb")
    unload_ipython_extension(notebook.shell)
    assert (logger.level, logger.handlers) == (logging.NOTSET, [])
    load_ipython_extension(notebook.shell)
    notebook.run(READ)
    assert notebook.shown.startswith("miss: ")


def test_what_the_line_says_is_no_warning_too(notebook: Notebook) -> None:
    refused = READ.replace("* FROM", "random() FROM")
    unload_ipython_extension(notebook.shell)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        load_ipython_extension(notebook.shell)
        notebook.run(refused)
        assert notebook.shown.startswith("not cached: the statement calls random")
        assert caught == []
        unload_ipython_extension(notebook.shell)
        assert list(warnings.filters) == before
        notebook.run(refused.replace("random", "changes"))
    load_ipython_extension(notebook.shell)
    assert notebook.shown == ""
    assert [warning.category for warning in caught] == [NotCachedWarning]
