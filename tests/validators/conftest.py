"""What the tests of validators share with those of sources."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tunnel import Tunnel


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    tunnel = Tunnel()
    yield tunnel
    tunnel.close()
