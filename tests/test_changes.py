"""How an answer differs from the one that it replaced, by their outlines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.changes import UNCHANGED, Changes, Outline, compared

labels = st.sampled_from(["a", "b", "c", "A", ""])
columns = st.lists(st.tuples(labels, st.sampled_from(["int64", "float64", "object"])), max_size=7).map(tuple)
outlines = st.builds(Outline, st.integers(0, 10**9), columns)


@given(outlines)
def test_nothing_differs_from_itself(one: Outline) -> None:
    assert compared(one, one) == Changes()


@given(outlines, outlines)
def test_what_is_gained_one_way_is_lost_the_other(one: Outline, other: Outline) -> None:
    there, back = compared(one, other), compared(other, one)
    assert there.rows == -back.rows == other.rows - one.rows
    assert (there.added, there.removed) == (back.removed, back.added)
    assert there.retyped == {label: (after, before) for label, (before, after) in back.retyped.items()}


@given(outlines, outlines)
def test_every_column_is_counted_once(one: Outline, other: Outline) -> None:
    changes = compared(one, other)
    assert len(one.columns) - len(changes.removed) + len(changes.added) == len(other.columns)
    assert len(changes.retyped) <= len(one.columns) - len(changes.removed)
    for label in {label for label, _ in (*one.columns, *other.columns)}:
        before, after = ([each for each, _ in outline.columns].count(label) for outline in (one, other))
        assert changes.added.count(label) == max(0, after - before)
        assert changes.removed.count(label) == max(0, before - after)


@given(outlines, st.randoms())
def test_the_order_of_unlike_columns_does_not_matter(one: Outline, chance: object) -> None:
    unlike = list({label: (label, dtype) for label, dtype in one.columns}.values())
    shuffled = list(unlike)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    assert compared(Outline(1, tuple(unlike)), Outline(1, tuple(shuffled))) == Changes()


@given(outlines, st.data())
def test_a_column_of_another_dtype_is_told_with_both(one: Outline, data: st.DataObject) -> None:
    if not one.columns:
        return
    at = data.draw(st.integers(0, len(one.columns) - 1))
    label, before = one.columns[at]
    other = one._replace(columns=(*one.columns[:at], (label, "bool"), *one.columns[at + 1 :]))
    (told,) = compared(one, other).retyped.items()
    assert told[0].startswith(label)
    assert told[1] == (before, "bool")


def test_of_columns_with_one_label_each_is_compared_with_its_own() -> None:
    before = Outline(1, (("n", "int64"), ("n", "int64")))
    after = Outline(1, (("n", "int64"), ("n", "float64"), ("n", "object")))
    assert compared(before, after) == Changes(0, ("n",), (), {"n (2)": ("int64", "float64")})


@pytest.mark.parametrize("rows", [-5, 0, 312])
def test_only_what_was_looked_at_is_called_the_same(rows: int) -> None:
    assert not compared(Outline(5, ()), Outline(5 + rows, ())).same
    assert UNCHANGED.same
