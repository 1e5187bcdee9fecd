"""What all sentences about an answer are made of."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb import phrases
from tests.flights import ENTRY, LOCAL, NOW


def test_when_an_answer_was_fetched() -> None:
    assert phrases.fetched(ENTRY, NOW) == f"fetched {LOCAL} (2 h ago)"


@given(st.text())
def test_whatever_is_said_is_on_one_line(text: str) -> None:
    told = phrases.one_line(text)
    assert len(told.splitlines()) <= 1
    assert told.split() == text.split()


def test_importing_the_words_loads_neither_pandas_nor_ipython() -> None:
    code = (
        "import sys; from sqlcache_nb import notes, phrases, reasons, report;"
        "print(sorted({'pandas', 'IPython', 'pyarrow'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
