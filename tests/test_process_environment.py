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


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option is deprecated")
def test_inferred_strings_are_part_of_the_environment() -> None:
    found = []
    for infers in (True, False):
        with pd.option_context("future.infer_string", infers):
            found.append((environment(), pd.Series(["a"]).dtype == object))
    assert found[0] != found[1]
    assert found[0][0] != found[1][0]


def test_versions_name_every_library_that_makes_or_keeps_a_frame() -> None:
    found = versions()
    assert set(found) == {"sqlcache_nb", "pandas", "pyarrow", "SQLAlchemy"}
    assert found["pandas"] == pd.__version__
