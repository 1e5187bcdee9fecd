"""Times, sizes and numbers in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb import quantities


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "0 s"),
        (0.0004, "under 1 ms"),
        (0.0014, "1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (18.44, "18.4 s"),
        (30, "30 s"),
        (59.96, "1 min"),
        (95, "1 min 35 s"),
        (3_599.7, "1 h"),
        (3_600, "1 h"),
        (5_400, "1 h 30 min"),
        (86_399, "1 day"),
        (86_400, "1 day"),
        (90_000, "1 day 1 h"),
        (604_800, "7 days"),
        (math.inf, "forever"),
    ],
)
def test_durations(seconds: float, says: str) -> None:
    assert quantities.duration(seconds) == says


SECONDS_OF = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "day": 86_400, "days": 86_400}


def seconds_in(text: str) -> float:
    words = text.replace(",", "").split()
    return sum(float(number) * SECONDS_OF[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


@given(st.floats(0.001, 1e10))
def test_durations_are_right_to_four_percent(seconds: float) -> None:
    # The worst is 1.5 ms; an hour is said to the minute, a day to the hour.
    bound = 0.34 if seconds < 0.01 else 0.04
    assert seconds_in(quantities.duration(seconds)) == pytest.approx(seconds, rel=bound)


@given(st.floats(0, 1e10))
def test_ages_are_rounded_down_by_less_than_a_unit(seconds: float) -> None:
    said = quantities.age(seconds)
    assert 0 <= seconds - seconds_in(said) < SECONDS_OF[said.split()[1]]


def test_ages() -> None:
    assert [quantities.ago(seconds) for seconds in (-5, 2, 61, 7_300, 200_000)] == [
        "in the future",
        "just now",
        "1 min ago",
        "2 h ago",
        "2 days ago",
    ]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_250, "1.2 kB"),
        (999_960, "1.0 MB"),
        (84_200_000, "84.2 MB"),
        (3_000_000_000, "3.0 GB"),
        (5_000_000_000_000_000, "5,000.0 TB"),
    ],
)
def test_sizes(number: int, says: str) -> None:
    assert quantities.size(number) == says


@pytest.mark.parametrize(
    ("number", "noun", "says"),
    [
        (1, "entry", "1 entry"),
        (0, "entry", "0 entries"),
        (1_234, "query", "1,234 queries"),
        (2, "day", "2 days"),
        (2, "miss", "2 misses"),
    ],
)
def test_counts(number: int, noun: str, says: str) -> None:
    assert quantities.count(number, noun) == says
