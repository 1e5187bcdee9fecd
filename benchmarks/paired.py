"""Two ways to the same end, as ratios measured in one run.

Every comparison is made of pairs: one after the other in turn, so that whatever else the machine is
doing meets both, and the median of the pairs' ratios is what is printed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same end.

    Args:
        name: what is compared with what.
        ours: one way, in seconds, one run each.
        other: the other way, in seconds, one run each.
    """

    name: str
    ours: list[float]
    other: list[float]

    @property
    def ratio(self) -> float:
        """Median over the pairs of ours divided by the other: under 1 is faster."""
        return statistics.median(a / b for a, b in zip(self.ours, self.other, strict=True))


def seconds(do: Callable[[], object], calls: int = 1) -> float:
    """How long one call takes, the collector's work for earlier ones left out.

    Args:
        do: what is called.
        calls: how often in a row, where one call is too short for the clock.
    """
    gc.collect()
    start = time.perf_counter()
    for _ in range(calls):
        do()
    return (time.perf_counter() - start) / calls


def paired(
    name: str, ours: Callable[[], object], other: Callable[[], object], runs: int, calls: int = 1
) -> Comparison:
    """Run both in turn, once unmeasured and then `runs` times; who is first changes each time."""
    ours(), other()
    comparison = Comparison(name, [], [])
    pair = [(ours, comparison.ours), (other, comparison.other)]
    for _ in range(runs):
        for do, times in pair:
            times.append(seconds(do, calls))
        pair.reverse()
    return comparison


def print_table(comparisons: Iterable[tuple[str, Comparison]], what: str = "frame") -> None:
    """A line for each frame, or whatever is compared, and comparison, as soon as it was measured."""
    print(f"{what:22}{'comparison':30}{'ours':>11}{'other':>11}{'ratio':>9}")
    for frame, comparison in comparisons:
        ours, other = (told(statistics.median(times)) for times in (comparison.ours, comparison.other))
        print(f"{frame:22}{comparison.name:30}{ours:>11}{other:>11}{comparison.ratio:>9.3f}", flush=True)


def told(seconds: float) -> str:
    """A time for a person."""
    return f"{1e3 * seconds:.1f} ms" if seconds > 1e-3 else f"{1e6 * seconds:.1f} µs"


def command_line(description: str | None) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=5, help="measured pairs (default: 5)")
    return parser
