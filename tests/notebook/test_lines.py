"""The plain function says its line in the notebook, and nowhere else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sqlcache_nb.errors import (
    ConfigError,
    NotCachedWarning,
    SqlcacheWarning,
    StaleWarning,
    StoreWarning,
    ValidatorWarning,
)
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


def test_what_is_logged_as_a_warning_is_shown_all_the_same(notebook: Notebook) -> None:
    notebook.run("%config CachedSQLMagics.quiet = True")
    notebook.run("import logging\nlogging.getLogger('sqlcache_nb').warning('not refreshed: no such host')")
    assert notebook.shown == "not refreshed: no such host"


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


@pytest.mark.parametrize("kind", [StaleWarning, StoreWarning, ValidatorWarning])
def test_what_the_plain_function_warns_of_is_a_line_and_no_warning_too(
    notebook: Notebook, capsys: pytest.CaptureFixture[str], kind: type[Warning]
) -> None:
    warn = (
        f"import sqlcache_nb.errors as e\ne.warn('postgresql://ann:SECRET@db/x\\nis gone', e.{kind.__name__})"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        notebook.run(warn)
        assert notebook.shown == "postgresql://ann:***@db/x is gone"
    assert "gone" not in capsys.readouterr().err


@pytest.fixture
def others(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The warnings that are shown as they were before the extension was loaded."""
    seen: list[object] = []
    unload_ipython_extension(notebook.shell)
    monkeypatch.setattr(warnings, "showwarning", lambda message, *place: seen.append(message))
    load_ipython_extension(notebook.shell)
    return seen


def test_other_warnings_are_shown_as_before(notebook: Notebook, others: list[object]) -> None:
    warnings.showwarning("other", UserWarning, "f.py", 1)
    warnings.showwarning("old", StaleWarning, "f.py", 1)
    assert others == ["other"]
    unload_ipython_extension(notebook.shell)
    warnings.showwarning("old", StaleWarning, "f.py", 1)
    assert others == ["other", "old"]
    load_ipython_extension(notebook.shell)


def test_who_shows_warnings_by_ours_keeps_his_own(
    notebook: Notebook, others: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = warnings.showwarning

    def around(*warning: Any) -> None:
        ours(*warning)

    monkeypatch.setattr(warnings, "showwarning", around)
    unload_ipython_extension(notebook.shell)
    assert warnings.showwarning is around
    warnings.showwarning("old", StaleWarning, "f.py", 1)
    assert others == ["old"]
    load_ipython_extension(notebook.shell)


def test_a_slip_in_a_call_is_one_line(notebook: Notebook) -> None:
    notebook.run("from sqlcache_nb import cached_read_sql")
    with pytest.raises(ConfigError) as fault:
        notebook.run("a = 1\ncached_read_sql('SELECT 1', db, ttl='soon')")
    (told,) = fault.value._render_traceback_()
    assert told.startswith("ConfigError (line 2): ttl='soon' is not a time: give seconds, a timedelta, ")


def test_a_slip_in_a_module_names_it(
    notebook: Notebook, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "helpers_of_ann.py").write_text(
        "from sqlcache_nb import cached_read_sql\n\ndef read(db):\n    return cached_read_sql('SELECT 1', db, ttl=[])\n"
    )
    monkeypatch.syspath_prepend(isolated)
    with pytest.raises(ConfigError) as fault:
        notebook.run("import helpers_of_ann\nhelpers_of_ann.read(db)")
    (told,) = fault.value._render_traceback_()
    assert told.startswith("ConfigError (helpers_of_ann.py, line 4): ttl=[] is not a time: ")


# Its answer depends on the time, so that no validator can vouch for it.
NOW = "SELECT id, datetime('now') AS now FROM flights"
MAGIC = f"%%cachedsql db frame << {{}}\n{NOW}"
PLAIN = f"""\
from sqlalchemy import text
from sqlcache_nb import cached_read_sql
frame = cached_read_sql(text("{NOW}"), db, {{}})"""


@pytest.fixture
def _warnings_are_shown() -> Iterator[None]:
    """As in a notebook, where they are no errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", SqlcacheWarning)
        warnings.simplefilter("ignore", NotCachedWarning)
        yield


@pytest.mark.usefixtures("_warnings_are_shown")
@pytest.mark.parametrize("cell", [MAGIC.format("--validate true"), PLAIN.format("validate=True")])
def test_that_a_validator_cannot_tell_is_said_once(
    notebook: Notebook, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    notebook.run(cell)
    notebook.run(cell)
    doubt, line = notebook.shown.splitlines()
    assert doubt.startswith(
        "validate=True: file cannot tell whether what this reads of flights.db has changed"
    )
    assert line.startswith("hit · fetched ")
    notebook.run(cell)
    assert len(notebook.shown.splitlines()) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_warnings_are_shown")
@pytest.mark.parametrize("cell", [MAGIC.format("--offline --ttl 0"), PLAIN.format("offline=True, ttl=0")])
def test_a_stale_answer_is_said_loudly_and_once(
    notebook: Notebook, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    notebook.run(MAGIC.format(""))
    notebook.run(cell)
    warning, line = notebook.shown.splitlines()
    assert warning.startswith("offline: flights.db is not asked; the answer was fetched ")
    assert line.startswith("offline · fetched ")
    assert " · stale: older than its ttl of 0 s · flights.db · " in line
    assert capsys.readouterr().err == ""
