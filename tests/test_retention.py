"""What goes is what is worth least, and no more than must; never a pin, never the newest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.retention import LARGEST_DEFAULT, Ranking, default_size_limit, is_unused, value

FIRST = datetime(2026, 11, 20, tzinfo=UTC)
PROVENANCE = Provenance("", {}, "string", "", {}, "", "", (), FIRST, 0.0, 0, 0, None, {})


def stored(
    key: str, *, elapsed: float = 1.0, idle: float = 0.0, size: int = 1, pinned: bool = False
) -> Entry:
    """An entry that was last used `idle` seconds ago, which its fetch keeps for these tests."""
    fetched_at = FIRST - timedelta(seconds=idle)
    provenance = replace(PROVENANCE, key=key, elapsed=elapsed, fetched_at=fetched_at)
    return Entry(provenance, bytes=size, pinned=pinned)


def idle_of(entry: Entry) -> float:
    return (FIRST - entry.provenance.fetched_at).total_seconds()


def to_evict(
    some: list[Entry], excess: int, idle: Callable[[Entry], float], newest: str | None = None
) -> list[Entry]:
    """The entries that go, in their order."""
    ranking = Ranking(newest)
    for entry in some:
        ranking.add(entry, idle(entry))
    by_key = {entry.key: entry for entry in some}
    return [by_key[doomed.key] for doomed in ranking.least(excess)]


elapsed_times = st.floats(0, 1e5) | st.sampled_from([0.0, 1.0])
idle_times = st.integers(0, 10**8) | st.sampled_from([0, 60, 3600])
sizes = st.integers(0, 10**9) | st.sampled_from([1, 100])
entries = st.lists(
    st.builds(
        stored, st.uuids().map(str), elapsed=elapsed_times, idle=idle_times, size=sizes, pinned=st.booleans()
    ),
    unique_by=lambda entry: entry.key,
    max_size=12,
)


@given(entries, st.data())
def test_what_stays_fits_and_nothing_goes_in_vain(some: list[Entry], data: st.DataObject) -> None:
    total = sum(entry.bytes for entry in some)
    limit = data.draw(st.integers(0, total + 1))
    newest = data.draw(st.sampled_from([None, *[entry.key for entry in some]]))
    evicted = to_evict(some, total - limit, idle_of, newest)
    assert not any(entry.pinned or entry.key == newest for entry in evicted)
    assert len({entry.key for entry in evicted}) == len(evicted)
    stays = total - sum(entry.bytes for entry in evicted)
    kept = sum(entry.bytes for entry in some if entry.pinned or entry.key == newest)
    assert stays <= max(limit, kept)
    assert not evicted or stays + evicted[-1].bytes > limit


@given(entries, st.integers(0, 10**9))
def test_dearer_more_recent_and_smaller_go_later(some: list[Entry], excess: int) -> None:
    evicted = {entry.key for entry in to_evict(some, excess, idle_of)}
    for gone in some:
        for stays in some:
            if gone.key in evicted and stays.key not in evicted and not stays.pinned:
                assert not (
                    gone.provenance.elapsed >= stays.provenance.elapsed
                    and idle_of(gone) <= idle_of(stays)
                    and gone.bytes <= stays.bytes
                ) or _alike(gone, stays)


def _alike(one: Entry, other: Entry) -> bool:
    """Whether nothing but the key tells which goes first, as far as a float can tell."""
    return value(one, idle_of(one)) == value(other, idle_of(other)) and (
        (idle_of(one), one.bytes) == (idle_of(other), other.bytes)
    )


@given(entries, st.integers(0, 10**9), st.randoms())
def test_the_order_of_the_list_does_not_matter(some: list[Entry], excess: int, chance: object) -> None:
    chosen = to_evict(some, excess, idle_of)
    shuffled = list(some)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    assert to_evict(shuffled, excess, idle_of) == chosen


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"elapsed": 1.0}, {"elapsed": 2.0}),
        ({"idle": 7_200.0}, {"idle": 3_600.0}),
        ({"size": 200}, {"size": 100}),
        ({"elapsed": 0.0, "idle": 7_200.0}, {"elapsed": 0.0, "idle": 3_600.0}),
        ({"elapsed": 0.0, "size": 200}, {"elapsed": 0.0, "size": 100}),
        ({"elapsed": math.nan}, {"elapsed": 1.0}),
        ({"elapsed": -5.0}, {"elapsed": 1.0}),
        ({"elapsed": 10**400, "size": 10**10}, {"elapsed": 1.0}),
    ],
    ids=str,
)
def test_one_of_two_goes_first(less: dict[str, float], more: dict[str, float]) -> None:
    gone, stays = stored("a", **less), stored("b", **more)  # type: ignore[arg-type]
    for pair in ([gone, stays], [stays, gone]):
        assert to_evict(pair, 1, idle_of) == [gone]
    gone, stays = (
        replace(entry, provenance=replace(entry.provenance, key=key))
        for entry, key in ((gone, "b"), (stays, "a"))
    )
    assert to_evict([gone, stays], 1, idle_of) == [gone]


@given(entries, entries, st.integers(0, 10**10), st.data())
def test_what_was_replaced_goes_first_whatever_it_is(
    some: list[Entry], replaced: list[Entry], excess: int, data: st.DataObject
) -> None:
    newest = data.draw(st.sampled_from([None, *[entry.key for entry in [*some, *replaced]]]))
    ranking = Ranking(newest)
    for entry, is_previous in data.draw(
        st.permutations([(entry, False) for entry in some] + [(entry, True) for entry in replaced])
    ):
        ranking.add(entry, idle_of(entry), is_previous=is_previous)
    gone = list(ranking.least(excess))
    order = [each.is_previous for each in gone]
    assert order == sorted(order, reverse=True)
    assert sum(each.elapsed for each in gone if each.is_previous) == 0
    assert False not in order or order.count(True) == len(replaced)


@given(entries, entries, st.integers(1, 10**10), st.integers(0, 10**9))
def test_no_entry_goes_for_slack_where_what_was_replaced_frees_enough(
    some: list[Entry], replaced: list[Entry], excess: int, slack: int
) -> None:
    def gone(slack: int) -> list[bool]:
        ranking = Ranking()
        for each, is_previous in ((some, False), (replaced, True)):
            for entry in each:
                ranking.add(entry, idle_of(entry), is_previous=is_previous)
        return [doomed.is_previous for doomed in ranking.least(excess, slack)]

    assert (False in gone(slack)) == (False in gone(0))
    assert len(gone(slack)) >= len(gone(0))
    if False in gone(0):
        ranking = Ranking()
        for entry in some:
            ranking.add(entry, idle_of(entry))
        rest = excess + slack - sum(entry.bytes for entry in replaced)
        assert gone(slack).count(False) == len(list(ranking.least(rest)))


def test_nothing_goes_where_there_is_room() -> None:
    assert to_evict([stored("a", size=100)], 0, idle_of) == []
    assert to_evict([stored("a", size=100)], -5, idle_of) == []


def test_a_clock_that_was_set_back_makes_nothing_worth_more_than_now() -> None:
    assert value(stored("a"), -1e9) == value(stored("a"), 0.0)


@given(entries, st.integers(0, 10**8))
def test_what_is_unused_for_long_goes_and_no_pin(some: list[Entry], longest: int) -> None:
    for entry in some:
        idle = idle_of(entry)
        assert is_unused(entry, idle, longest) is (not entry.pinned and idle >= longest)
        assert not is_unused(entry, idle, math.inf)


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_the_default_limit_is_a_tenth_of_the_room_and_ten_gib_at_most(free: int, held: int) -> None:
    limit = default_size_limit(free, held)
    assert limit <= LARGEST_DEFAULT == 10 * 2**30
    assert limit == LARGEST_DEFAULT or math.isclose(limit, (free + held) / 10, abs_tol=1)


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40))
def test_what_the_store_writes_does_not_lower_its_limit(free: int, held: int, written: int) -> None:
    assert default_size_limit(free + written, held) == default_size_limit(free, held + written)
