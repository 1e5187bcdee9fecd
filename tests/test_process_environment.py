"""What of this process shapes a frame."""

from __future__ import annotations

import pandas as pd
import pytest

from sqlcache_nb.environment import environment, versions
from sqlcache_nb.key import Key


def test_the_environment_is_part_of_a_key() -> None:
    found = environment()
    assert found["pandas"] == ".".join(pd.__version__.split(".")[:2])
    assert Key.of(found) == Key.of(environment())


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
def test_the_string_storage_is_part_of_the_environment(storage: str) -> None:
    with pd.option_context("mode.string_storage", storage):
        assert environment()["string_storage"] == storage


@pytest.mark.skipif(pd.__version__ >= "3", reason="pandas 3 has no other strings, and warns at the question")
def test_inferred_strings_are_part_of_the_environment() -> None:
    before = environment()
    with pd.option_context("future.infer_string", True):
        assert environment() != before


def test_versions_name_every_library_that_makes_or_keeps_a_frame() -> None:
    found = versions()
    assert set(found) == {"sqlcache_nb", "pandas", "pyarrow", "SQLAlchemy"}
    assert found["pandas"] == pd.__version__
