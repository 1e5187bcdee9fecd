"""Several processes on one cache directory: right answers, no warning, nothing left over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle import inconsistencies

WORK = """
import random, sys, warnings
from sqlcache_nb import QueryCache

warnings.simplefilter("error")
directory, url, seed = sys.argv[1:]
chance = random.Random(seed)
with QueryCache(directory) as cache:
    for _ in range(80):
        number = chance.randrange(12)
        result = cache.read(f"select {number} as n from sales", url, refresh=chance.random() < 0.2)
        assert result.frame["n"].tolist() == [number] * 6
        if chance.random() < 0.05:
            cache.clear(older_than=0)
print("done")
"""


@pytest.mark.slow
def test_readers_writers_and_clearers_do_not_disturb_each_other(tmp_path: Path, sales_db: Path) -> None:
    directory = tmp_path / "shared"
    command = [sys.executable, "-c", WORK, str(directory), f"sqlite:///{sales_db}"]
    running = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for seed in range(5)
    ]
    for process in running:
        assert process.communicate(timeout=120) == ("done\n", "")
    assert inconsistencies(directory) == []
