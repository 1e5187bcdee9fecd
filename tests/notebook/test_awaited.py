"""The line of an answer that takes a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sqlcache_nb.notebook.awaited import PATIENCE, AwaitedLine

pytestmark = pytest.mark.usefixtures("shell")


class HandTimer:
    """A timer that runs out when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.call: Callable[[], object] | None = None
        self.is_waiting = False

    def __call__(self, seconds: float, call: Callable[[], object]) -> HandTimer:
        self.seconds, self.call = seconds, call
        return self

    def start(self) -> None:
        self.is_waiting = True

    def cancel(self) -> None:
        self.is_waiting = False

    def run_out(self) -> None:
        assert self.call is not None
        self.call()


@pytest.fixture
def timer() -> HandTimer:
    return HandTimer()


@pytest.fixture
def line(timer: HandTimer) -> AwaitedLine:
    return AwaitedLine(timer, lambda: True)


Shown = list[tuple[bool, str]]


@pytest.fixture
def shown(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What was shown: whether in the place of something, and its text."""
    seen: Shown = []

    def publish(data: dict[str, str], *_: object, update: bool = False, **__: object) -> None:
        seen.append((update, data["text/plain"]))

    monkeypatch.setattr(shell.display_pub, "publish", publish)
    return seen


def test_a_quick_answer_is_said_once(line: AwaitedLine, timer: HandTimer, shown: Shown) -> None:
    with line:
        line.expect("miss: first time · flights.db")
        assert (timer.is_waiting, timer.seconds, shown) == (True, PATIENCE, [])
        line.say("miss: first time · flights.db · 4 x 4")
    assert shown == [(False, "miss: first time · flights.db · 4 x 4")]
    assert not timer.is_waiting


def test_a_slow_answer_takes_the_place_of_what_was_said_before(
    line: AwaitedLine, timer: HandTimer, shown: Shown
) -> None:
    with line:
        line.expect("miss: first time · flights.db")
        timer.run_out()
        assert shown == [(False, "miss: first time · flights.db · asking ...")]
        line.say("miss: first time · flights.db · 4 x 4")
    assert shown[1:] == [(True, "miss: first time · flights.db · 4 x 4")]


def test_a_slow_fault_leaves_no_promise(line: AwaitedLine, timer: HandTimer, shown: Shown) -> None:
    def ask() -> None:
        with line:
            line.expect("miss: first time · flights.db")
            timer.run_out()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask()
    assert shown[1:] == [(True, "miss: first time · flights.db · no answer")]


def test_a_quick_fault_leaves_nothing(line: AwaitedLine, timer: HandTimer, shown: Shown) -> None:
    def ask() -> None:
        with line:
            line.expect("miss: first time · flights.db")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask()
    timer.run_out()  # it could not be stopped any more
    assert shown == []


def test_for_whom_one_waits_is_said_anew_until_the_answer_is_there(line: AwaitedLine, shown: Shown) -> None:
    with line:
        line.wait("waiting for kernel 4711, 1 s")
        line.wait("waiting for kernel 4711, 2 s")
        line.say("hit · fetched just now by kernel 4711 · waited 3 s")
    assert shown == [
        (False, "waiting for kernel 4711, 1 s ..."),
        (True, "waiting for kernel 4711, 2 s ..."),
        (True, "hit · fetched just now by kernel 4711 · waited 3 s"),
    ]


def test_who_waited_in_vain_and_asks_says_so_in_the_same_place(
    line: AwaitedLine, timer: HandTimer, shown: Shown
) -> None:
    with line:
        line.wait("waiting for kernel 4711, 1 s")
        line.expect("miss: first time · flights.db")
        assert timer.call is None
        line.say("miss: first time · waited 1 s for kernel 4711 · flights.db")
    assert shown[1:] == [
        (True, "miss: first time · flights.db · asking ..."),
        (True, "miss: first time · waited 1 s for kernel 4711 · flights.db"),
    ]


def test_an_interrupted_wait_leaves_no_promise(line: AwaitedLine, shown: Shown) -> None:
    def ask() -> None:
        with line:
            line.wait("waiting for kernel 4711, 1 s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask()
    assert shown[1:] == [(True, "waiting for kernel 4711, 1 s · no answer")]


def test_where_nothing_can_be_replaced_waiting_is_said_once(timer: HandTimer, shown: Shown) -> None:
    with AwaitedLine(timer) as line:
        line.wait("waiting for kernel 4711, 1 s")
        line.wait("waiting for kernel 4711, 2 s")
        line.say("hit")
    assert shown == [(False, "waiting for kernel 4711, 1 s"), (False, "hit")]


def test_where_nothing_can_be_replaced_only_the_whole_line_is_said(timer: HandTimer, shown: Shown) -> None:
    with AwaitedLine(timer) as line:  # an IPython in a terminal
        line.expect("miss: first time · flights.db")
        line.say("miss: first time · flights.db · 4 x 4")
    assert timer.call is None
    assert shown == [(False, "miss: first time · flights.db · 4 x 4")]


def test_what_is_captured_is_not_replaced(timer: HandTimer) -> None:
    with capture_output() as captured, AwaitedLine(timer) as line:
        line.expect("miss: first time · flights.db")
        line.say("hit")
    assert timer.call is None
    assert [output.data["text/plain"] for output in captured.outputs] == ["hit"]
