"""Leases: one owner at a time, who is named, and whose death frees what he had."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sqlcache_nb.errors import CannotLock, StoreError
from sqlcache_nb.stores import Note, Phase
from sqlcache_nb.stores.disk import DiskStore
from sqlcache_nb.stores.lease import NOTES, FileLease
from tests.faults import as_nobody

KEY = "a" * 64
SINCE = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


@pytest.fixture
def lease(folder: Path) -> Iterator[FileLease]:
    lease = FileLease(folder, KEY)
    yield lease
    lease.release()


class TestOwner:
    def test_one_at_a_time_has_it(self, folder: Path, lease: FileLease) -> None:
        other = FileLease(folder, KEY)
        assert lease.take()
        assert not other.take()
        lease.release()
        assert other.take()
        other.release()

    def test_what_was_not_taken_cannot_be_given_back(self, folder: Path, lease: FileLease) -> None:
        assert lease.take()
        FileLease(folder, KEY).release()
        assert not FileLease(folder, KEY).take()

    def test_other_keys_are_free(self, folder: Path, lease: FileLease) -> None:
        other = FileLease(folder, "b" * 64)
        assert lease.take()
        assert other.take()
        other.release()

    def test_another_thread_may_give_it_back(self, folder: Path, lease: FileLease) -> None:
        assert lease.take()
        thread = threading.Thread(target=lease.release)
        thread.start()
        thread.join()
        other = FileLease(folder, KEY)
        assert other.take()
        other.release()

    def test_the_death_of_its_owner_frees_it(self, folder: Path, lease: FileLease) -> None:
        with owner(folder) as process:
            assert not lease.take()
            process.kill()
            process.wait()
            assert lease.take()
        note = lease.note()
        assert note is not None
        assert (note.pid, note.phase) == (process.pid, Phase.RUNNING)

    def test_the_stores_own_lease_is_in_its_folder(self, tmp_path: Path) -> None:
        store = DiskStore(tmp_path / "store")
        lease = store.lease(KEY)
        assert lease.take()
        lease.release()
        assert [path.name for path in (tmp_path / "store" / "v1" / "locks").iterdir()] == ["aaa.lock"]
        store.close()


class TestNotes:
    def test_what_is_written_is_read(self, folder: Path, lease: FileLease) -> None:
        lease.take()
        lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        note = FileLease(folder, KEY).note()
        assert note == Note(
            KEY, "flight", Phase.RUNNING, "kernel 4711", os.getpid(), note.host if note else "", SINCE
        )

    def test_each_lock_has_a_place_of_its_own(self, folder: Path, lease: FileLease) -> None:
        other = FileLease(folder, "b" * 64)
        for each in (lease, other):
            each.take()
            each.write("of " + ("a" if each is lease else "b"), Phase.STORED, "kernel 4711", SINCE)
        assert [note.flight for each in (lease, other) if (note := each.note())] == ["of a", "of b"]
        other.release()

    def test_keys_that_share_a_lock_are_told_apart(self, folder: Path, lease: FileLease) -> None:
        other = FileLease(folder, "aaa" + "b" * 61)
        lease.take()
        lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        note = other.note()
        assert not other.take()
        assert note is not None
        assert note.key == KEY

    def test_nothing_is_noted_at_first(self, folder: Path, lease: FileLease) -> None:
        assert lease.note() is None
        lease.take()
        assert lease.note() is None
        FileLease(folder, "f" * 64).take()
        assert lease.note() is None

    def test_names_that_are_too_long_are_cut(self, lease: FileLease) -> None:
        lease.take()
        lease.write("flight", Phase.RUNNING, "ü" * 1_000, SINCE)
        note = lease.note()
        assert note is not None
        assert note.process == "ü" * 64

    @pytest.mark.parametrize("text", [b"", b"\0" * 512, b"{" * 512, b"[1]", b"null", b"{}", b"1e999"])
    def test_what_nobody_wrote_is_no_note(self, folder: Path, lease: FileLease, text: bytes) -> None:
        lease.take()
        (folder / NOTES).write_bytes(b" " * 512 * 0xAAA + text)
        assert lease.note() is None

    @pytest.mark.parametrize(
        ("fact", "other"),
        [
            ('"key": "', '"key": 1, "x": "'),
            ('"flight": "flight"', '"flight": null'),
            ('"phase": "running"', '"phase": "flying"'),
            ('"pid": ', '"pid": -'),
            ("+00:00", ""),
            ('"since": "', '"since": "on '),
        ],
    )
    def test_a_damaged_note_is_none(self, folder: Path, lease: FileLease, fact: str, other: str) -> None:
        lease.take()
        lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        assert lease.note() is not None
        text = (folder / NOTES).read_bytes().decode()
        assert fact in text
        (folder / NOTES).write_text(text.replace(fact, other))
        assert lease.note() is None

    @pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
    def test_the_owner_alone_can_read_them(self, folder: Path, lease: FileLease) -> None:
        lease.take()
        lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    @pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs to open without following a link")
    def test_a_link_in_its_place_is_not_followed(self, folder: Path, lease: FileLease) -> None:
        lease.take()
        victim = folder.parent / "victim"
        victim.write_bytes(b"precious")
        (folder / NOTES).symlink_to(victim)
        with pytest.raises(StoreError):
            lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        with pytest.raises(StoreError):
            lease.note()
        assert victim.read_bytes() == b"precious"

    def test_a_process_that_is_gone_is_known(self, lease: FileLease) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        lease.take()
        lease.write("flight", Phase.RUNNING, "kernel 4711", SINCE)
        note = lease.note()
        assert note is not None
        dead = Note(note.key, note.flight, note.phase, note.process, ended.pid, note.host, note.since)
        elsewhere = Note(note.key, note.flight, note.phase, note.process, ended.pid, "elsewhere", note.since)
        assert not lease.is_orphaned(note)
        assert lease.is_orphaned(dead) == (os.name == "posix")
        assert not lease.is_orphaned(elsewhere)


class TestFaults:
    @pytest.mark.skipif(os.name != "posix", reason="needs flock")
    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
    def test_a_place_without_locks_says_so(
        self, lease: FileLease, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def flock(_file: int, _operation: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", flock)
        with pytest.raises(CannotLock, match="cannot be locked"):
            lease.take()

    @pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs another user, which POSIX has")
    def test_a_place_that_cannot_be_written_to_is_another_fault(self, tmp_path: Path) -> None:
        store = tmp_path / "store"
        store.mkdir(mode=0o555)
        with as_nobody(store), pytest.raises(StoreError, match="cannot be written to") as caught:
            FileLease(store / "locks", KEY).take()
        assert not isinstance(caught.value, CannotLock)

    def test_a_folder_that_is_gone_is_not_made_again(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written to"):
            FileLease(tmp_path / "gone" / "locks", KEY).take()
        assert not (tmp_path / "gone").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
class TestForks:
    def test_a_child_neither_has_nor_frees_it(self, folder: Path) -> None:
        code = """
import os, sys
from pathlib import Path
from sqlcache_nb.stores.lease import FileLease

folder, key = Path(sys.argv[1]), sys.argv[2]
lease = FileLease(folder, key)
assert lease.take()
child = os.fork()
if child == 0:
    lease.release()
    os._exit(FileLease(folder, key).take())
assert os.waitpid(child, 0)[1] == 0
assert not FileLease(folder, key).take()
lease.release()
assert FileLease(folder, key).take()
"""
        subprocess.run([sys.executable, "-c", code, str(folder), KEY], check=True)

    def test_a_child_does_not_keep_what_its_dead_parent_had(self, folder: Path, lease: FileLease) -> None:
        with owner(folder, forks=True) as process:
            assert not lease.take()
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert lease.take()


OWNER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlcache_nb.stores import Phase
from sqlcache_nb.stores.lease import FileLease

lease = FileLease(Path(sys.argv[1]), sys.argv[2])
assert lease.take()
lease.write("flight", Phase.RUNNING, "process", datetime.now(UTC))
if sys.argv[3] == "forks" and os.fork() == 0:
    print("taken", flush=True)
    sys.stdin.read()
    os._exit(0)
if sys.argv[3] != "forks":
    print("taken", flush=True)
sys.stdin.read()
"""


@contextmanager
def owner(folder: Path, *, forks: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lease, until its input ends."""
    command = [sys.executable, "-c", OWNER, str(folder), KEY, "forks" if forks else "alone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "taken\n"
        yield process
