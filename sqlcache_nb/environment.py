"""What of this process shapes a frame: versions, and settings of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from sqlcache_nb.constant import ConstantDict
from sqlcache_nb.version import __version__

_VERSION = pd.__version__.split(".")


def environment() -> Mapping[str, object]:
    """Pandas' version and the settings of it that change what a frame is."""
    settings = {
        "pandas": ".".join(_VERSION[:2]),
        "string_storage": pd.get_option("mode.string_storage"),
        "infer_string": _infers_strings(),
    }
    return _constant(**settings)


def _infers_strings() -> bool:
    """Whether texts become pandas' strings, rather than objects."""
    if int(_VERSION[0]) < 3:
        return bool(pd.get_option("future.infer_string"))
    # Reading the option is deprecated from 3.1 on, and setting it still has its effect.
    told: Any = getattr(pd._config, "using_string_dtype", None)  # noqa: SLF001  # see above
    return told is None or bool(told())


@lru_cache(maxsize=16, typed=True)  # 1 is not True
def _constant(**settings: object) -> Mapping[str, object]:
    return ConstantDict(settings)


def versions() -> dict[str, str]:
    """Versions of the libraries that make and keep a frame."""
    import pyarrow as pa
    import sqlalchemy as sa

    return {
        "sqlcache_nb": __version__,
        "pandas": pd.__version__,
        "pyarrow": pa.__version__,
        "SQLAlchemy": sa.__version__,
    }
