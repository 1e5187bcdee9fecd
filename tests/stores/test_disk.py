"""The store of this machine: layout, privacy, faults, and no pickle."""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from sqlcache_nb.errors import StoreError
from sqlcache_nb.stores import Removed, Report, rows
from sqlcache_nb.stores.disk import DiskStore
from sqlcache_nb.stores.table import ParquetDisk
from tests.faults import as_nobody, change_row, filename_of, rows_of
from tests.oracle import inconsistencies
from tests.store_contract import StoreContract, entry_of

KEY = "a" * 64


class TestContract(StoreContract):
    """All that any store does."""


class TestLayout:
    def test_statements_that_are_alike_are_found_by_an_index(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con:
            plan = con.execute(f"EXPLAIN QUERY PLAN {rows.SELECT_ALIKE}", ("x", 1)).fetchall()
        assert [row[3] for row in plan] == ["SEARCH Cache USING INDEX Cache_tag_rowid (tag=?)"]

    def test_a_damaged_row_is_like_nothing(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET value = '{}'")
        assert store.alike("select 1") == []
        store.clear()

    def test_everything_is_under_v1_and_git_ignores_it(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        assert sorted(path.name for path in directory.iterdir()) == [".gitignore", "v1"]
        assert (directory / ".gitignore").read_text() == "*\n"

    def test_another_version_is_left_alone(self, directory: Path) -> None:
        (directory / "v2").mkdir(parents=True)
        (directory / "v2" / "anything").write_bytes(b"theirs")
        DiskStore(directory).close()
        assert (directory / "v2" / "anything").read_bytes() == b"theirs"

    def test_a_folder_of_somebody_elses_gets_no_gitignore(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "thesis.txt").write_text("precious")
        DiskStore(directory).close()
        assert not (directory / ".gitignore").exists()

    @pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
    def test_its_owner_alone_can_read_it(self, store: DiskStore, directory: Path) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (directory, *directory.rglob("*"))}
        assert modes[directory] == modes[directory / "v1"] == 0o700
        assert modes[directory / "v1" / "cache.db"] == modes[stored.path] == 0o600
        with store.spool() as spool:
            assert stat.S_IMODE(os.fstat(spool.fileno()).st_mode) == 0o600

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs to ask where a file is")
    def test_a_spool_is_in_the_stores_own_folder(self, store: DiskStore, directory: Path) -> None:
        with store.spool() as spool:
            assert Path(f"/proc/self/fd/{spool.fileno()}").readlink().parent == directory / "v1"

    @pytest.mark.skipif(os.name != "posix", reason="Windows keeps the name of an open file")
    def test_a_spool_of_a_process_that_was_killed_is_gone(self, store: DiskStore, directory: Path) -> None:
        code = (
            "import os, signal, sys; from sqlcache_nb.stores.disk import DiskStore;"
            "spool = DiskStore(sys.argv[1]).spool(); spool.write(bytes(2**20)); spool.flush();"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(directory)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert {path.name.partition("-")[0] for path in (directory / "v1").iterdir()} == {"cache.db"}

    def test_row_and_payload_survive_a_new_process(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY), memoryview(b"payload"))
        code = (
            "import sys; from sqlcache_nb.stores.disk import DiskStore; store = DiskStore(sys.argv[1]);"
            "print(store.read(store.lookup('a' * 64)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "b'payload'"


class TestNoPickle:
    def test_keys_are_plain_text(self, tmp_path: Path) -> None:
        disk = ParquetDisk(str(tmp_path))
        with pytest.raises(TypeError, match="keys are str"):
            disk.put(("a", 1))
        with pytest.raises(ValueError, match="did not write"):
            disk.get(pickle.dumps("a"), raw=0)

    def test_a_poisoned_row_runs_no_code_and_is_a_miss(self, store: DiskStore, directory: Path) -> None:
        class Poison:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return Path.touch, (directory / "ran",)  # type: ignore[return-value]

        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        poison = pickle.dumps(Poison())
        for mode in (1, 4):
            change_row(directory, "UPDATE Cache SET mode = ?, value = ?, filename = NULL", mode, poison)
            assert store.lookup(KEY) is None
            assert store.entries() == []
        assert not (directory / "ran").exists()
        store.delete(rows_of(store, KEY))
        stored.path.unlink()

    @pytest.mark.parametrize(
        "filename", ["../../secret", "/etc/passwd", "v1/../x.parquet", "ab/cd.parquet", ""]
    )
    def test_a_file_name_that_leaves_the_directory_is_a_miss(
        self, store: DiskStore, directory: Path, filename: str
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET filename = ?", filename)
        assert store.lookup(KEY) is None
        store.delete(rows_of(store, KEY))
        stored.path.unlink()

    def test_deleting_a_row_that_points_outside_deletes_nothing_there(
        self, store: DiskStore, directory: Path
    ) -> None:
        victim = directory.parent / "victim.parquet"
        victim.write_bytes(b"precious")
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET filename = '../../victim.parquet'")
        store.delete(rows_of(store, KEY))
        assert victim.read_bytes() == b"precious"
        stored.path.unlink()


class TestDamage:
    @pytest.mark.parametrize(
        "value",
        ["", "{", "[]", "null", "{}", '{"format": null}', '{"format": 2}', b"\xff\xfe", 7, "[" * 10_000],
    )
    def test_a_row_that_cannot_be_read_is_a_miss_and_deleted_with_its_payload(
        self, store: DiskStore, directory: Path, value: object
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET value = ?", value)
        assert store.entries() == []
        assert store.lookup(KEY) is None
        assert not stored.path.exists()
        assert store.check() == Report()

    @pytest.mark.parametrize(
        "value", ['{"format": 1}', '{"seal": "x", "format": 99, "new": NONE}', '{"format": 3}']
    )
    def test_an_entry_of_another_version_is_a_miss_and_left_alone(
        self, store: DiskStore, directory: Path, value: str
    ) -> None:
        value = value.replace("NONE", "null")
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        ours = change_row(directory, "UPDATE Cache SET value = ? RETURNING value", value)
        assert store.lookup(KEY) is None
        assert store.entries() == []
        for repair in (False, True):
            report = store.check(repair=repair)
            assert (report.unknown, report.faults) == ((KEY,), 0)
        assert stored.path.exists()
        assert ours == [(value,)]
        store.clear()

    def test_one_that_is_damaged_leaves_the_payload_of_another_alone(
        self, store: DiskStore, directory: Path
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        other = store.write(entry_of("b" * 64), memoryview(b"other"))
        change_row(
            directory,
            "UPDATE Cache SET filename = (SELECT filename FROM Cache WHERE key = ?) WHERE key = ?",
            *("b" * 64, KEY),
        )
        assert store.lookup(KEY) is None
        assert store.read(other) == b"other"
        assert store.check().unfinished == (filename_of(stored, directory),)
        stored.path.unlink()

    def test_rows_that_were_mixed_up_are_misses(self, store: DiskStore, directory: Path) -> None:
        for key in "ab":
            store.write(entry_of(key * 64), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET key = 'c' WHERE key = ?", KEY)
        change_row(directory, "UPDATE Cache SET key = ? WHERE key = ?", KEY, "b" * 64)
        change_row(directory, "UPDATE Cache SET key = ? WHERE key = 'c'", "b" * 64)
        assert [store.lookup(key * 64) for key in "ab"] == [None, None]

    @pytest.mark.parametrize(
        "change",
        [
            "size = 8",
            "mode = 1",
            "raw = 0",
            "expire_time = 1.0",
            "filename = NULL",
            "filename = x'ff'",
            "key = 7",
        ],
    )
    def test_a_column_that_was_changed_is_a_miss(
        self, store: DiskStore, directory: Path, change: str
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, f"UPDATE Cache SET {change}")
        assert store.lookup(KEY) is None
        assert store.entries() == []
        store.check(repair=True)
        stored.path.unlink(missing_ok=True)

    def test_clear_deletes_rows_that_cannot_be_read_and_their_payloads(
        self, store: DiskStore, directory: Path
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        change_row(directory, "UPDATE Cache SET value = '{'")
        assert (store.entries(), store.size()) == ([], 7)
        assert store.clear() == Removed(1, 7)
        assert (store.size(), stored.path.exists()) == (0, False)

    def test_the_entry_is_json_in_the_row(self, store: DiskStore, directory: Path) -> None:
        store.write(entry_of(KEY, ttl=float("inf")), memoryview(b"payload"))
        with closing(sqlite3.connect(directory / "v1" / "cache.db")) as con:
            ((value,),) = con.execute("SELECT value FROM Cache").fetchall()
        entry = json.loads(value)
        assert (entry["ttl"], entry["provenance"]["key"], entry["format"]) == ("forever", KEY, 2)


class TestFaults:
    def test_a_directory_that_cannot_be_made_is_a_store_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(StoreError, match="SQLCACHE_NB_DIR"):
            DiskStore(tmp_path / "file" / "cache")

    @pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files, which POSIX has")
    @pytest.mark.parametrize(
        ("call", "limit", "fault"),
        [
            ("store.write(entry_of('a' * 64), memoryview(bytes(3 * 2**20)))", 2**20, "StoreError"),
            ("store.write(entry_of('a' * 64), spool)", 2**20, "StoreError"),
            ("store.write(entry_of('a' * 64), memoryview(b'payload'))", 512, "StoreError"),  # its row
            ("spool.write(bytes(2**21))", 2**20, "OSError"),
        ],
    )
    def test_a_full_disk_is_a_store_error_and_leaves_no_part_of_a_file(
        self, directory: Path, call: str, limit: int, fault: str
    ) -> None:
        DiskStore(directory).close()
        done = subprocess.run(
            [sys.executable, "-c", WRITE_OVER_THE_LIMIT, str(directory), call, str(limit)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])},
        )
        assert done.stdout.strip() == fault
        assert list(directory.rglob("*.parquet")) == []
        assert inconsistencies(directory) == []

    def test_an_interruption_leaves_no_part_of_a_file(self, store: DiskStore, directory: Path) -> None:
        class Interrupted(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() > 2**20:
                    raise KeyboardInterrupt
                return super().read(size)

        with pytest.raises(KeyboardInterrupt):
            store.write(entry_of(KEY), Interrupted(bytes(3 * 2**20)))
        assert list(directory.rglob("*.parquet")) == []
        assert store.lookup(KEY) is None

    @pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs another user, which POSIX has")
    @pytest.mark.parametrize("look", ["read", "open"])
    def test_a_payload_that_the_disk_does_not_give_is_a_store_error_and_is_kept(
        self, store: DiskStore, directory: Path, look: str
    ) -> None:
        stored = store.write(entry_of(KEY), memoryview(b"payload"))
        store.close()
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o777)
        stored.path.chmod(0)
        with as_nobody(directory), pytest.raises(StoreError, match=r"cannot be used \(Permission denied\)"):
            getattr(store, look)(stored)
        store.close()
        stored.path.chmod(0o600)
        assert store.lookup(KEY) == stored


WRITE_OVER_THE_LIMIT = """
import resource, signal, sys
from sqlcache_nb.errors import StoreError
from sqlcache_nb.stores import Removed
from sqlcache_nb.stores.disk import DiskStore
from tests.store_contract import entry_of, spooled

_, directory, call, limit = sys.argv
store = DiskStore(directory)
spool = spooled(store, bytes(3 * 2**20))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
try:
    eval(call)
except (StoreError, OSError) as fault:
    print(type(fault).__name__)
"""


def test_a_thread_that_ends_leaves_no_connection_open(tmp_path: Path) -> None:
    """What is not closed when it is collected warns, and a warning fails this test."""

    def use() -> None:
        disk.write(entry_of(KEY), memoryview(b"data"))
        assert disk.lookup(KEY) is not None

    with closing(DiskStore(tmp_path / "cache")) as disk:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        gc.collect()
        assert disk.lookup(KEY) is not None


def test_a_database_that_another_process_is_about_to_fill_is_not_set_aside(tmp_path: Path) -> None:
    with closing(DiskStore(tmp_path / "cache")):
        pass
    database = tmp_path / "cache" / "v1" / "cache.db"
    with closing(sqlite3.connect(database)) as con, con:
        con.execute("DROP TABLE Cache")  # as long as it is not made
    with closing(DiskStore(tmp_path / "cache")) as disk:
        disk.write(entry_of(KEY), memoryview(b"data"))
        assert disk.check().aside == ()
