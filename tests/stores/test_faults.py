"""What happens to the places where stores are: the query answers, and nothing that was there is lost."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from sqlcache_nb.errors import DamagedPayload, StoreError, StoreWarning
from sqlcache_nb.stores import Report, payloads, places, table
from sqlcache_nb.stores.disk import DiskStore
from tests.faults import as_nobody, can_mount, change_row, filename_of, mounted, rows_of, run
from tests.oracle import inconsistencies
from tests.store_contract import entry_of

KEY, OTHER = "a" * 64, "b" * 64

needs_users = pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs another user, which POSIX has")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes and links")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def filled(directory: Path) -> DiskStore:
    store = DiskStore(directory)
    store.write(entry_of(KEY), memoryview(b"payload"))
    return store


def read(store: DiskStore, key: str = KEY) -> bytes | None:
    stored = store.lookup(key)
    return None if stored is None else store.read(stored)


def corrupt(directory: Path) -> None:
    for leftover in (directory / "v1").glob("cache.db-*"):
        leftover.unlink()
    (directory / "v1" / "cache.db").write_bytes(b"not a database at all" * 100)


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


class TestReadOnly:
    @needs_users
    @pytest.mark.parametrize("log", ["closed", "live"])
    def test_hits_are_served_and_nothing_is_added(self, directory: Path, log: str) -> None:
        writer = filled(directory)
        if log == "closed":
            writer.close()
        modes = {path: path.stat().st_mode for path in (directory, *directory.rglob("*"))}
        for path in modes:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            with as_nobody(directory):
                store = DiskStore(directory)
                assert read(store) == b"payload"
                assert len(store.entries()) == len(store.alike("select 1")) == 1
                assert (store.size(), store.check()) == (7, Report(1, 7))
                for deed in (
                    lambda: store.write(entry_of(OTHER), memoryview(b"new")),
                    lambda: store.update(entry_of(KEY)),
                    lambda: store.delete(rows_of(store, KEY)),
                    store.clear,
                    lambda: store.check(repair=True),
                ):
                    with pytest.raises(StoreError, match="is read-only: what it holds is served"):
                        deed()
                    assert read(store) == b"payload"
                store.close()
        finally:
            for path, mode in modes.items():
                if path.exists():
                    path.chmod(mode)
        writer.close()
        assert inconsistencies(directory) == []

    @needs_users
    def test_one_that_is_not_there_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "locked").mkdir(mode=0o555)
        with as_nobody(tmp_path / "locked" / "x"), pytest.raises(StoreError, match="cannot be used"):
            DiskStore(tmp_path / "locked" / "x")

    @needs_users
    def test_a_damaged_payload_is_said_though_it_cannot_be_deleted(self, directory: Path) -> None:
        filled(directory).close()
        (path,) = directory.rglob("*.parquet")
        path.write_bytes(b"payloaD")
        for each in (path, directory, *directory.rglob("*")):
            each.chmod(0o555)
        with as_nobody(directory):
            store = DiskStore(directory)
            with pytest.raises(DamagedPayload, match="could not be deleted"):
                read(store)
            store.close()

    @needs_users
    def test_what_was_changed_since_is_seen(self, directory: Path) -> None:
        filled(directory).close()
        for path in (directory, *directory.rglob("*")):
            path.chmod(path.stat().st_mode | 0o055)
        (directory / "v1").chmod(0o555)
        with as_nobody(directory):
            store = DiskStore(directory)
            assert read(store, OTHER) is None
        writer = DiskStore(directory)
        (directory / "v1").chmod(0o755)
        path = writer.write(entry_of(OTHER), memoryview(b"new")).path
        writer.close()
        for each in (path, path.parent, directory / "v1"):
            each.chmod(0o555)
        with as_nobody(directory):
            assert read(store, OTHER) == b"new"
            store.close()

    def test_a_file_system_that_is_mounted_so(self, tmp_path: Path, directory: Path) -> None:
        if not can_mount(tmp_path):
            pytest.skip("nothing can be mounted here")
        filled(directory).close()
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        wrapped = (
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
            str(directory),
        )
        code = (
            "import sys; from tests.stores.test_faults import *; store = DiskStore(sys.argv[1]); print(read(store))\n"
            "try: store.write(entry_of(OTHER), memoryview(b'new'))\n"
            "except StoreError as fault: print(fault)\n"
            "print(read(store)); store.close()"
        )
        lines = run(code, directory, wrapped=wrapped).splitlines()
        assert (lines[0], lines[2]) == ("b'payload'",) * 2
        assert "is read-only" in lines[1]


class TestFullDisk:
    CODE = """
import sys
from pathlib import Path
from tests.stores.test_faults import *

directory = Path(sys.argv[1], "store")
store = DiskStore(directory)
count = 0
try:
    while True:
        key = f"{count:064x}"
        store.write(entry_of(key), memoryview(key.encode() * 500))
        count += 1
except StoreError as fault:
    print(fault)
try:
    for size in (100_000, 10_000, 1_000, 10):
        while True:
            with open(Path(sys.argv[1], f"filler{size}"), "ab", buffering=0) as file:
                if file.write(bytes(size)) < size: break
except OSError: pass
for attempt in range(5):  # an overwrite, where there is no room for a row
    try: store.write(entry_of("0" * 64, minute=1), memoryview(b"new"))
    except StoreError: pass
assert count > 5 and all(read(store, f"{n:064x}") == f"{n:064x}".encode() * 500 for n in range(1, count)), count
assert read(store, "0" * 64) in (b"0" * 32_000, b"new")
report = store.check()
assert (report.entries, report.faults, report.foreign) == (count, 0, ()), report
assert store.delete([store.lookup(f"{1:064x}")]).entries == 1
assert store.clear().entries == count - 1
for path in Path(sys.argv[1]).glob("filler*"): path.unlink()
store.write(entry_of(KEY), memoryview(b"again"))
assert read(store) == b"again" and store.check() == Report(1, 5)
store.close()
assert inconsistencies(directory) == []
print("done")
"""

    def test_a_disk_of_a_few_megabytes(self, tmp_path: Path) -> None:
        if not can_mount(tmp_path):
            pytest.skip("nothing can be mounted here")
        said = run(self.CODE, tmp_path, wrapped=mounted("-ttmpfs -osize=2m", tmp_path)).splitlines()
        assert "cannot be used (No space left on device)" in said[0] or "disk is full" in said[0]
        assert said[1:] == ["done"]

    @needs_strace
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "call", ["pwrite64", "fsync", "fdatasync", "write", "mkdir", "ftruncate", "openat"]
    )
    @pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EINVAL"])
    def test_each_system_call_may_fail(self, tmp_path: Path, call: str, error: str) -> None:
        """From the first of those that follow a mark, one by one; what was there stays."""
        pattern = tmp_path / "pattern"
        filled(pattern).close()
        for number in range(1, 4):
            directory = tmp_path / f"{number}"
            shutil.copytree(pattern, directory)
            said = traced(directory, call, f"error={error}", number)
            assert said == "stored" or said.startswith(f"the cache directory {directory} "), said
            store = DiskStore(directory)
            assert read(store) == (b"new" if said == "stored" else b"payload")
            report = store.check()
            assert (report.faults - len(report.unfinished), report.entries) == (0, 1)
            store.close()


def traced(directory: Path, call: str, what: str, number: int) -> str:
    """What an overwrite says whose n-th system call of a kind does not do what it should."""
    code = (
        "import os, signal, subprocess, sys\n"
        "from tests.stores.test_faults import *\n"
        "store = DiskStore(sys.argv[1]); store._database.table(); store.lookup(KEY)\n"
        "status = open('/proc/self/status')\n"
        "tracer = subprocess.Popen(['strace', '-qq', '-o', os.devnull, '-e', f'trace={sys.argv[2]}',\n"
        "    '-e', f'inject={sys.argv[2]}:{sys.argv[3]}:when={sys.argv[4]}', '-p', str(os.getpid())])\n"
        "while status.seek(0) or 'TracerPid:\\t0\\n' in status.read(): pass\n"
        "try: store.write(entry_of(KEY, minute=1), memoryview(b'new')); said = 'stored'\n"
        "except StoreError as fault: said = str(fault)\n"
        "finally: tracer.terminate(); tracer.wait()\n"
        "print(said); store.close(); status.close()"
    )
    return run(code, directory, call, what, number).strip()


class TestOthers:
    def test_a_locked_database_is_read_and_not_written(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(table, "WAIT", 0.05)
        store = filled(directory)
        store.close()
        with closing(sqlite3.connect(directory / "v1" / "cache.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            late = DiskStore(directory)  # it is not waited for
            for each in (store, late):
                assert read(each) == b"payload"
                with pytest.raises(StoreError, match="another process holds its lock"):
                    each.write(entry_of(KEY, minute=1), memoryview(b"new"))
                with pytest.raises(StoreError, match="another process holds its lock"):
                    each.delete(rows_of(each, KEY))
                assert read(each) == b"payload"
            other.execute("ROLLBACK")
        assert late.write(entry_of(KEY, minute=1), memoryview(b"new")) == store.lookup(KEY)
        late.close()
        store.close()

    def test_a_reader_writes_nothing(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Settings SET value = 1 WHERE key = 'statistics'")
        change_row(
            directory, "UPDATE Settings SET value = 'least-recently-used' WHERE key = 'eviction_policy'"
        )
        with closing(sqlite3.connect(directory / "v1" / "cache.db")) as other:
            before = other.execute("PRAGMA data_version").fetchone()
            for _ in range(3):
                assert read(store) == b"payload"
            assert other.execute("PRAGMA data_version").fetchone() == before
        DiskStore(directory).close()  # puts it right

    @pytest.mark.parametrize("how", ["removed", "replaced", "emptied"])
    def test_a_directory_that_is_taken_away_is_made_again(self, directory: Path, how: str) -> None:
        store = filled(directory)
        shutil.rmtree(directory if how != "emptied" else directory / "v1")
        if how == "replaced":
            other = DiskStore(directory)
            other.write(entry_of(OTHER), memoryview(b"other"))
            other.close()
        assert read(store) is None
        store.write(entry_of(KEY), memoryview(b"again"))
        assert read(store) == b"again"
        assert (read(store, OTHER) == b"other") is (how == "replaced")
        with store.spool() as spool:
            assert spool.read() == b""
        assert store.check().faults == 0
        store.close()

    def test_a_row_is_not_written_where_nobody_would_find_it(self, directory: Path) -> None:
        store = filled(directory)
        shutil.rmtree(directory)
        DiskStore(directory).close()
        store.write(entry_of(KEY), memoryview(b"again"))
        other = DiskStore(directory)
        assert read(other) == b"again"
        for each in (store, other):
            each.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_a_child_has_connections_of_its_own(self, directory: Path) -> None:
        code = """
import os, sys
from tests.stores.test_faults import *
store, second = filled(Path(sys.argv[1])), DiskStore(sys.argv[1])
store.write(entry_of(OTHER), memoryview(b"still"))
assert read(second) == b"payload"
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        for attempt in range(20):
            # The parent may replace its payload after its row was found, which reads as None: not so the other one.
            assert store.lookup(KEY) is not None and read(store, OTHER) == b"still"
            second.write(entry_of(f"{number}{attempt:063}"), memoryview(b"child"))
        assert os.getpid() == store._database._reader._local.process == second._database._reader._local.process
        os._exit(0)
    children.append(child)
for attempt in range(20):
    store.write(entry_of(KEY, minute=attempt), memoryview(b"parent"))
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
assert read(store) == read(second) == b"parent"
assert store.check().entries == 82 and store.check().faults == 0
store.close(), second.close()
print("done")
"""
        assert run(code, directory) == "done\n"
        assert inconsistencies(directory) == []

    def test_a_clock_that_jumps_does_not_make_a_row_without_its_payload(
        self, store: DiskStore, directory: Path
    ) -> None:
        """Another process sweeps while a payload is being stored, and takes it for one that was left."""
        store.write(entry_of(KEY), memoryview(b"payload"))

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                block = super().read(size)
                if not block:
                    (path,) = set(directory.rglob("*.parquet")) - {store.lookup(KEY).path}  # type: ignore[union-attr]
                    path.unlink()
                return block

        with pytest.raises(StoreError, match="cannot be used"):
            store.write(entry_of(KEY, minute=1), Slow(b"new"))
        assert read(store) == b"payload"

    def test_an_interruption_after_the_commit_leaves_the_new_one(
        self, store: DiskStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        remove = payloads.remove

        def interrupted(*arguments: object) -> None:
            monkeypatch.setattr(payloads, "remove", remove)
            remove(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        monkeypatch.setattr(payloads, "remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write(entry_of(KEY, minute=1), memoryview(b"new"))
        assert read(store) == b"new"

    def test_one_that_another_kernel_has_replaced_and_kept_stays_kept(
        self, store: DiskStore, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for minute in range(2):
            store.write(entry_of(KEY, minute=minute), memoryview(b"payload"), keep=1)
        remove = payloads.remove

        def interrupted(*arguments: object) -> None:
            monkeypatch.setattr(payloads, "remove", remove)
            remove(*arguments)  # type: ignore[arg-type]
            with closing(DiskStore(directory)) as other:
                other.write(entry_of(KEY, minute=3), memoryview(b"newer"), keep=1)
            raise KeyboardInterrupt

        monkeypatch.setattr(payloads, "remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write(entry_of(KEY, minute=2), memoryview(b"new"), keep=1)
        previous = store.previous(KEY)
        assert previous is not None
        assert (read(store), store.read(previous)) == (b"newer", b"new")


class TestSettings:
    def test_another_disk_and_its_settings_are_mended(self, directory: Path) -> None:
        filled(directory).close()
        with diskcache.Cache(str(directory / "v1"), disk=diskcache.JSONDisk, disk_compress_level=6) as other:
            other.set("theirs", "value")
        diskcache.Cache(
            str(directory / "v1"),
            disk=diskcache.JSONDisk,
            statistics=1,
            eviction_policy="least-recently-used",
            cull_limit=10,
            size_limit=1,
            tag_index=0,
        ).close()
        change_row(directory, "INSERT INTO Settings VALUES ('get', 'x')")
        store = DiskStore(directory)
        assert read(store) == b"payload"
        store.write(entry_of(OTHER), memoryview(b"other"))
        report = store.check(repair=True)
        assert (report.entries, len(report.unreadable)) == (2, 1)
        assert store.check() == Report(2, 12)
        settings: dict[object, object] = dict(change_row(directory, "SELECT key, value FROM Settings"))  # type: ignore[arg-type]  # pairs
        assert (settings["eviction_policy"], settings["cull_limit"], settings["statistics"]) == ("none", 0, 0)
        assert not {"get", "disk_compress_level"} & settings.keys()
        store.close()
        assert inconsistencies(directory) == []

    def test_wrong_totals_are_mended(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Settings SET value = 5 WHERE key IN ('size', 'count')")
        assert store.check().database == ("its totals are wrong",)
        assert store.check(repair=True).repaired
        assert (store.size(), store.check()) == (7, Report(1, 7))


class TestCorruptDatabase:
    def test_it_is_set_aside_and_the_store_begins_anew(self, directory: Path) -> None:
        filled(directory).close()
        corrupt(directory)
        with pytest.warns(StoreWarning, match=r"is now cache\.db\.damaged-\d{8}T") as seen:
            store = DiskStore(directory)
        assert len(seen) == 1
        assert store.lookup(KEY) is None
        store.write(entry_of(KEY), memoryview(b"again"))
        assert read(store) == b"again"
        report = store.check()
        assert (report.entries, len(report.unfinished), len(report.aside)) == (1, 1, 1)
        assert (directory / "v1" / report.aside[0]).read_bytes().startswith(b"not a database")
        age(directory / "v1" / report.unfinished[0], 3_700)
        store.check(repair=True)
        assert store.check() == Report(1, 5, aside=report.aside)
        age(directory / "v1" / report.aside[0], 40 * 86_400)
        store.check(repair=True)
        assert store.check() == Report(1, 5)
        store.close()

    def test_others_that_have_it_open_find_the_new_one(self, directory: Path) -> None:
        first, second = filled(directory), DiskStore(directory)
        assert read(second) == b"payload"
        with pytest.warns(StoreWarning, match="begins anew"):
            first._database.set_aside()
        first.write(entry_of(OTHER), memoryview(b"new"))
        second.write(entry_of(KEY), memoryview(b"again"))
        for store in (first, second):
            assert (read(store), read(store, OTHER)) == (b"again", b"new")
            store.close()

    @pytest.mark.parametrize("deed", ["lookup", "write", "entries", "clear", "check"])
    def test_one_that_is_damaged_while_open(self, directory: Path, deed: str) -> None:
        store = filled(directory)
        for number in range(50):
            store.write(entry_of(f"{number:064}"), memoryview(b"x"))
        store.close()
        database = directory / "v1" / "cache.db"
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (database.stat().st_size - 4096))
        deeds: dict[str, Callable[[], object]] = {
            "lookup": lambda: store.lookup(KEY),
            "write": lambda: store.write(entry_of(KEY), memoryview(b"again")),
            "entries": store.entries,
            "clear": store.clear,
            "check": lambda: store.check(repair=True),
        }
        with pytest.warns(StoreWarning, match="begins anew"):
            deeds[deed]()
        store.write(entry_of(KEY), memoryview(b"again"))
        assert read(store) == b"again"
        store.close()

    def test_somebody_elses_database_is_set_aside_too(self, directory: Path) -> None:
        filled(directory).close()
        for path in (directory / "v1").glob("cache.db*"):
            path.unlink()
        with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con, con:
            con.execute("CREATE TABLE Cache (theirs)")
        with pytest.warns(StoreWarning, match="begins anew"):
            store = DiskStore(directory)
        assert store.entries() == []
        store.close()

    def test_a_database_that_was_begun_and_not_made_is_made(self, directory: Path) -> None:
        (directory / "v1").mkdir(parents=True)
        (directory / "v1" / "cache.db").touch()
        store = filled(directory)
        assert read(store) == b"payload"
        store.close()


class TestSweep:
    def left(self, directory: Path, seconds: float, name: str = "ab/" + "0" * 30 + ".parquet") -> Path:
        path = directory / "v1" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
        age(path, seconds)
        return path

    @pytest.mark.parametrize(
        ("seconds", "stays"), [(0, True), (3_000, True), (4_000, False), (-90_000, False)]
    )
    def test_what_nobody_names_goes_after_an_hour(
        self, store: DiskStore, directory: Path, seconds: float, stays: bool
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        age(stored.path, 10**8)
        paths = [self.left(directory, seconds), self.left(directory, seconds, "spool-x")]
        store.check(repair=True)
        assert [path.exists() for path in paths] == [stays, stays]
        assert read(store) == b"payload"
        for path in paths:
            path.unlink(missing_ok=True)

    def test_it_is_made_once_a_day_after_something_was_stored(self, directory: Path) -> None:
        filled(directory).close()
        stamp = directory / "v1" / "swept"
        path = self.left(directory, 10**6)
        for since, swept in [(80_000, False), (90_000, True), (-90_000, True)]:
            path = self.left(directory, 10**6)
            age(stamp, since)
            store = DiskStore(directory)
            read(store), store.entries(), store.alike("select 1"), store.size()
            assert path.exists()  # no read sweeps
            store.write(entry_of(OTHER), memoryview(b"other"))
            assert path.exists() is not swept
            store.close()

    def test_many_go_in_small_transactions(self, store: DiskStore, directory: Path) -> None:
        kept = [store.write(entry_of(f"{number:064}"), memoryview(b"x")) for number in range(3)]
        for number in range(200):
            self.left(directory, 10**6, f"ab/{number:030x}.parquet")
        store._sweep()
        assert set(directory.rglob("*.parquet")) == {stored.path for stored in kept}

    def test_foreign_files_are_reported_and_left_alone(self, store: DiskStore, directory: Path) -> None:
        names = ["thesis.txt", "ab/thesis.parquet", "ab/nested", "val", "zz"]
        (directory / "v1" / "ab" / "nested").mkdir(parents=True)
        (directory / "v1" / "zz").mkdir()
        for name in names[:2] + names[3:4]:
            self.left(directory, 10**8, name)
        for _ in range(2):
            report = store.check(repair=True)
            assert (report.foreign, report.faults) == (tuple(sorted(names)), 0)
        store.clear()
        assert all((directory / "v1" / name).exists() for name in names)
        (directory / "v1" / "ab" / "thesis.parquet").unlink()


@needs_posix
class TestLinks:
    def test_a_payload_that_is_a_link_is_damaged(self, store: DiskStore, directory: Path) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        secret = directory.parent / "secret"
        stored.path.rename(secret)
        stored.path.symlink_to(secret)
        with pytest.raises(DamagedPayload):
            store.read(stored)
        assert secret.read_bytes() == b"payload"
        assert not stored.path.is_symlink()

    def test_a_pipe_is_not_waited_for(self, store: DiskStore) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        stored.path.unlink()
        os.mkfifo(stored.path)
        for look in (store.read, store.open):
            try:
                assert look(stored) is None
            except DamagedPayload:
                assert look == store.read

    def test_a_folder_that_is_a_link_is_not_followed(self, store: DiskStore, directory: Path) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        elsewhere = directory.parent / "elsewhere"
        stored.path.parent.rename(elsewhere)
        stored.path.parent.symlink_to(elsewhere)
        name = filename_of(stored, directory)
        assert store.check().foreign == (name[:2],)
        store.delete(rows_of(store, KEY))
        assert (elsewhere / stored.path.name).read_bytes() == b"payload"
        for each in (f"{number:02x}" for number in range(256)):
            if not (directory / "v1" / each).is_symlink():
                shutil.rmtree(directory / "v1" / each, ignore_errors=True)
                (directory / "v1" / each).symlink_to(elsewhere)
        with pytest.raises(StoreError, match="cannot be used"):
            store.write(entry_of(KEY), memoryview(b"payload"))
        assert [path.name for path in elsewhere.iterdir()] == [stored.path.name]
        store.delete(rows_of(store, KEY))

    @pytest.mark.parametrize("what", ["v1", "v1/cache.db"])
    def test_a_store_that_is_a_link_is_not_used(self, directory: Path, what: str) -> None:
        filled(directory).close()
        (directory / what).rename(directory.parent / "elsewhere")
        (directory / what).symlink_to(directory.parent / "elsewhere")
        with pytest.raises(StoreError, match="is a symbolic link"):
            DiskStore(directory)


@needs_posix
class TestPrivacy:
    @pytest.fixture(autouse=True)
    def _nothing_said_yet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "_warned", set())

    @pytest.mark.parametrize("what", [".", "v1", "v1/cache.db"])
    @pytest.mark.parametrize("mode", [0o020, 0o002])
    def test_where_others_may_write_is_said_once(self, directory: Path, what: str, mode: int) -> None:
        filled(directory).close()
        (directory / what).chmod(0o700 | mode)
        with pytest.warns(StoreWarning, match=r"others than you may write to .*: chmod go-w") as seen:
            DiskStore(directory).close()
        DiskStore(directory).close()
        assert len(seen) == 1

    def test_where_others_may_read_is_nothing_to_say(self, directory: Path) -> None:
        filled(directory).close()
        for path in (directory, directory / "v1"):
            path.chmod(0o755)
        DiskStore(directory).close()

    def test_all_that_is_made_is_the_owners_alone(self, directory: Path) -> None:
        before = os.umask(0)
        try:
            store = filled(directory)
            store.check(repair=True)
            spool = store.spool()
        finally:
            os.umask(before)
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}
        public = {path.name for path, mode in modes.items() if mode & 0o077}
        assert public <= {".gitignore"}
        spool.close()
        store.close()


def test_what_a_fault_says_about_the_place() -> None:
    def sqlite(code: int, text: str = "") -> sqlite3.Error:
        fault = sqlite3.OperationalError(text)
        fault.sqlite_errorcode = code
        return fault

    kinds: dict[Callable[[], BaseException], places.Fault] = {
        lambda: OSError(errno.EROFS, "x"): places.Fault.READ_ONLY,
        lambda: OSError(errno.EIO, "x"): places.Fault.OTHER,
        lambda: OSError("x"): places.Fault.OTHER,
        lambda: sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT): places.Fault.LOCKED,
        lambda: sqlite(sqlite3.SQLITE_CORRUPT_INDEX): places.Fault.DAMAGED,
        lambda: sqlite(sqlite3.SQLITE_ERROR, "no such table: Cache"): places.Fault.DAMAGED,
        lambda: sqlite(sqlite3.SQLITE_ERROR, "cannot start a transaction"): places.Fault.OTHER,
        lambda: sqlite3.ProgrammingError("closed"): places.Fault.OTHER,
        ValueError: places.Fault.OTHER,
    }
    assert {make: places.kind_of(make()) for make in kinds} == kinds


MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:44 / /home rw,relatime shared:9 - nfs4 server:/home rw,vers=4.2
31 30 0:45 / /home/ann/my\040disk rw - ext4 /dev/vdb1 rw
32 22 0:46 / /share rw - cifs //server/share rw
33 32 0:47 / /share rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ann/.cache", "nfs4"),
        ("/home/ann/my disk/cache", ""),
        ("/homes", ""),
        ("/share/x", ""),  # hidden behind a later mount
        ("/var/cache", ""),
    ],
)
def test_what_is_on_another_machine_is_known_by_its_mount(folder: str, kind: str) -> None:
    assert places.network_of(Path(folder), MOUNTS) == kind


@pytest.mark.skipif(os.name == "nt", reason="Linux's list of mounts")
def test_a_network_is_warned_of_once_and_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network can be had here: the list of mounts says that there is one."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"22 1 0:1 / {tmp_path} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(places, "_MOUNTS", mounts)
    with pytest.warns(StoreWarning, match="is on nfs4, where locks are not sure to hold"):
        DiskStore(tmp_path / "cache").close()
    store = DiskStore(tmp_path / "cache")
    store.write(entry_of(KEY), memoryview(b"data"))
    assert store.lookup(KEY) is not None
    store.close()
