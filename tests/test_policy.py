"""What a person wants: understood at once, and what is nearer is louder."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sqlcache_nb.errors import ConfigError
from sqlcache_nb.policy import Policy

switches = st.none() | st.booleans()
times = st.none() | st.sampled_from(["1h", 0, 60.0, timedelta(days=1)])


def built(**given: Any) -> Policy | None:
    try:
        return Policy(**given)
    except ConfigError:
        return None


policies = (
    st.builds(
        built,
        ttl=times | st.sampled_from(["today", "session", "forever"]),
        refresh=switches,
        no_store=switches,
        offline=switches,
        stale_while_revalidate=times,
        stale_if_error=times,
        validate=st.none() | st.sampled_from(["auto", True, False, "select 1"]),
    )
    .filter(lambda policy: policy is not None)
    .map(lambda policy: policy or Policy())
)


@given(near=policies, far=policies)
def test_what_is_nearer_is_louder(near: Policy, far: Policy) -> None:
    both = near.over(far)
    for each in fields(Policy):
        said, meant = getattr(near, each.name), getattr(far, each.name)
        if each.name != "refresh":
            assert getattr(both, each.name) == (meant if said is None else said)
    assert not (both.refresh and (both.offline or both.no_store))


@given(policies)
def test_who_says_nothing_changes_nothing(policy: Policy) -> None:
    assert Policy().over(policy) == policy
    assert policy.over(Policy()) == policy


def test_a_refresh_in_a_notebook_that_is_offline_asks_no_database() -> None:
    policy = Policy(refresh=True).over(Policy(offline=True))
    assert (policy.offline, policy.refresh) == (True, False)
    assert Policy(refresh=True, offline=False).over(Policy(offline=True)).refresh


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ttl": "soon"}, r"ttl='soon' is not a time: give seconds.*\"today\", \"session\" or \"forever\""),
        ({"stale_while_revalidate": "forever"}, "stale_while_revalidate='forever' is not a bounded time"),
        ({"stale_if_error": True}, "stale_if_error=True is not a bounded time"),
        ({"offline": "yes"}, "offline='yes' is neither True nor False"),
        ({"refresh": 2}, "refresh=2 is neither"),
        ({"validate": ""}, "validate='' is not known"),
        ({"validate": 7}, 'validate=7 is not known: give "auto", True, False, a query of your own'),
        (
            {"refresh": True, "no_store": True},
            "refresh stores what it fetches: it cannot be had with no_store",
        ),
        ({"refresh": True, "offline": True}, "refresh asks the database: it cannot be had with offline"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_line(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as said:
        Policy(**given)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("value", [pd.NA, np.array([1, 2]), 2, "yes"], ids=repr)
def test_a_switch_that_is_none(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"offline=.* is neither True nor False"):
        Policy(offline=value)
