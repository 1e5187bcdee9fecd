"""What every store does; a store's own tests subclass it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest

from sqlcache_nb.entry import Entry, Provenance
from sqlcache_nb.errors import DamagedPayload, NotCacheable
from sqlcache_nb.stores import CURRENT, PREVIOUS, Phase, Removed, Store, Tally
from tests.faults import rows_of

START = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)


def entry_of(key: str, *, minute: int = 0, **facts: object) -> Entry:
    """An entry with the facts that matter to a test."""
    provenance = Provenance(
        key=key,
        parts={"statement": "0123456789abcdef"},
        kind="string",
        sql="select 1",
        items={},
        source="sales.db",
        dialect="sqlite",
        tables=("sales",),
        fetched_at=START + timedelta(minutes=minute),
        elapsed=1.5,
        rows=1,
        columns=1,
        chunks=None,
        versions={},
    )
    return Entry(provenance, **facts)  # type: ignore[arg-type]  # whatever a test wants to say


def proven(key: str, word: str) -> bytes:
    """A payload that proves itself: whose it is, and which one, as often as fills it."""
    return (f"{key} {word}\n" * (1 + len(word) * 97)).encode()


def word_of(key: str, payload: bytes) -> str:
    """The word of a payload of `proven`, which must be whole."""
    word = payload.split(b"\n", 1)[0].split(b" ", 1)[1].decode()
    assert payload == proven(key, word)
    return word


def spooled(store: Store, *blocks: bytes) -> BinaryIO:
    """A spool that holds these blocks, one after the other, and stands at its end."""
    spool = store.spool()
    for block in blocks:
        spool.write(block)
    return spool


def peak_memory(do: Callable[[], object]) -> int:
    """The most bytes that Python held at once for one call."""
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class StoreContract:
    """Subclasses give a fixture `store`: an empty one."""

    def test_what_was_written_is_found_and_read(self, store: Store) -> None:
        written = store.write(entry_of("a" * 64, name="mine", tags=("x",), ttl=60.0), memoryview(b"payload"))
        found = store.lookup("a" * 64)
        assert found == written
        assert store.read(written) == b"payload"
        assert (written.entry.bytes, written.entry.name, written.entry.tags) == (7, "mine", ("x",))

    def test_an_unknown_key_is_none(self, store: Store) -> None:
        assert store.lookup("b" * 64) is None

    def test_a_second_write_replaces_row_and_payload(self, store: Store) -> None:
        first = store.write(entry_of("a" * 64), memoryview(b"old"))
        second = store.write(entry_of("a" * 64, minute=1), memoryview(b"new payload"))
        assert store.lookup("a" * 64) == second
        assert store.read(second) == b"new payload"
        assert not first.path.exists()
        assert len(store.entries()) == 1
        assert store.size() == 11

    def test_a_slow_fetch_does_not_replace_what_was_fetched_meanwhile(self, store: Store) -> None:
        newer = store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        slow = entry_of("a" * 64)
        slow = replace(slow, provenance=replace(slow.provenance, elapsed=90.0))
        assert store.write(slow, memoryview(b"old")) == newer
        assert store.lookup("a" * 64) == newer

    def test_a_replaced_generation_reads_as_nothing_and_the_new_one_stays(self, store: Store) -> None:
        first = store.write(entry_of("a" * 64), memoryview(b"old"))
        second = store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        assert (store.read(first), store.open(first)) == (None, None)
        assert store.read(second) == b"new"

    @pytest.mark.parametrize("look", ["read", "open"])
    @pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
    def test_a_damaged_payload_is_deleted_and_reads_as_nothing(
        self, store: Store, damage: str, look: str
    ) -> None:
        payload = bytes(3 * 2**20) + b"payload"
        stored = store.write(entry_of("a" * 64), memoryview(payload))
        match damage:
            case "flip":
                stored.path.write_bytes(payload[:-1] + b"t")
            case "cut":
                stored.path.write_bytes(payload[:-1])
            case "empty":
                stored.path.write_bytes(b"")
            case "gone":
                stored.path.unlink()
        with pytest.raises(DamagedPayload):
            getattr(store, look)(stored)
        assert store.lookup("a" * 64) is None
        assert not stored.path.exists()
        assert getattr(store, look)(stored) is None  # its row is gone: no fault of the place

    @pytest.mark.parametrize("size", [0, 7, 2**20, 5 * 2**20 + 7])
    def test_a_spool_is_stored_from_its_beginning_as_memory_is(self, store: Store, size: int) -> None:
        payload = (bytes(range(251)) * (size // 251 + 1))[:size]
        in_memory = store.write(entry_of("a" * 64), memoryview(payload))
        with spooled(store, payload) as spool:
            from_file = store.write(entry_of("b" * 64), spool)
            assert not spool.closed
        assert store.read(from_file) == payload
        assert store.lookup("b" * 64) == from_file
        facts = [(stored.entry.checksum, stored.entry.bytes) for stored in (in_memory, from_file)]
        assert facts[0] == facts[1] == (in_memory.entry.checksum, size)

    def test_memory_counts_in_bytes_whatever_it_holds(self, store: Store) -> None:
        numbers = memoryview(bytes(range(16))).cast("q")
        stored = store.write(entry_of("a" * 64), numbers)
        assert (stored.entry.bytes, store.read(stored)) == (16, bytes(range(16)))

    def test_a_spool_is_new_and_empty_and_no_entry_and_leaves_nothing(self, store: Store) -> None:
        store.clear()  # it may leave a note of its own
        before = set(store.directory.rglob("*"))
        with spooled(store, b"one") as one, spooled(store, b"two", bytes(2**20)) as two:
            assert (store.entries(), store.size(), store.clear()) == ([], 0, Removed(0, 0))
            for spool in (one, two):
                spool.seek(0)
            assert (one.read(), two.read(3)) == (b"one", b"two")
        assert set(store.directory.rglob("*")) == before

    def test_an_open_payload_is_the_payload_from_its_beginning(self, store: Store) -> None:
        payload = bytes(2**20) + b"payload"
        file = store.open(store.write(entry_of("a" * 64), memoryview(payload)))
        assert file is not None
        with file:
            assert file.tell() == 0
            assert file.read() == payload
            assert (file.seek(-7, 2), file.read()) == (2**20, b"payload")

    @pytest.mark.parametrize("change", ["replace", "delete", "clear", "close"])
    def test_an_open_payload_stays_readable(self, store: Store, change: str) -> None:
        payload = bytes(2**20) + b"payload"
        file = store.open(store.write(entry_of("a" * 64), memoryview(payload)))
        assert file is not None
        with file:
            match change:
                case "replace":
                    store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
                case "delete":
                    store.delete(rows_of(store, "a" * 64))
                case "clear":
                    store.clear()
                case "close":
                    store.close()
            assert file.read() == payload

    def test_a_spool_is_stored_and_opened_in_bounded_memory(self, store: Store) -> None:
        small = 8 * 2**20
        with spooled(store, *[bytes(2**20)] * 64) as spool:
            assert peak_memory(lambda: store.write(entry_of("a" * 64), spool)) < small
        stored = store.lookup("a" * 64)
        assert stored is not None
        assert stored.entry.bytes == 64 * 2**20

        def look() -> None:
            file = store.open(stored)
            assert file is not None
            with closing(file):
                assert len(file.read(2**20)) == 2**20

        assert peak_memory(look) < small
        assert peak_memory(lambda: store.read(stored)) > 64 * 2**20  # so it would have been noticed

    # --- previous versions ---------------------------------------------------------------------------------

    def test_what_is_replaced_can_be_kept_beside_what_replaces_it(self, store: Store) -> None:
        key = "a" * 64
        first = store.write(entry_of(key, pinned=True, name="mine"), memoryview(b"old"), keep=1)
        assert store.previous(key) is None
        second = store.write(entry_of(key, minute=1), memoryview(b"new payload"), keep=1)
        previous = store.previous(key)
        assert previous is not None
        assert (previous.entry, previous.path) == (replace(first.entry, pinned=False), first.path)
        assert (previous.version, second.version) == (PREVIOUS, CURRENT)
        assert (store.lookup(key), store.read(second)) == (second, b"new payload")
        assert store.read(previous) == b"old"
        file = store.open(previous)
        assert file is not None
        with file:
            assert file.read() == b"old"

    def test_a_previous_version_is_no_entry_and_takes_room(self, store: Store) -> None:
        key = "a" * 64
        for minute in range(3):
            store.write(entry_of(key, minute=minute), memoryview(b"four"), keep=1)
        current, previous = store.lookup(key), store.previous(key)
        assert current is not None
        assert previous is not None
        assert previous.entry.provenance.fetched_at == START + timedelta(minutes=1)
        for found in (store.entries(), store.alike("select 1"), store.latest("sales.db")):
            assert found == [current]
        assert [row.fetched_at for row in store.listed()] == [current.entry.provenance.fetched_at]
        assert sorted(store.each(), key=lambda row: row.version) == [previous, current]
        assert (store.size(), store.held()) == (8, Removed(1, 8))
        report = store.check()
        assert (report.entries, report.bytes, report.faults) == (1, 8, 0)
        assert len(list(store.directory.rglob("*.parquet"))) == 2

    def test_without_keeping_an_earlier_version_goes_too(self, store: Store) -> None:
        for minute in range(2):
            store.write(entry_of("a" * 64, minute=minute), memoryview(b"four"), keep=1)
        store.write(entry_of("a" * 64, minute=2), memoryview(b"four"))
        assert (store.previous("a" * 64), store.size()) == (None, 4)

    def test_the_same_answer_again_leaves_the_last_that_was_another(self, store: Store) -> None:
        key = "a" * 64
        first = store.write(entry_of(key, content="one"), memoryview(b"first"), keep=1)
        for minute in (1, 2, 3):
            last = store.write(
                entry_of(key, minute=minute, content="two"), memoryview(b"again %d" % minute), keep=1
            )
        previous = store.previous(key)
        assert previous is not None
        assert (previous.path, store.lookup(key)) == (first.path, last)
        assert store.size() == 5 + 7

    def test_deeds_are_done_to_the_entry_and_not_to_its_previous_version(self, store: Store) -> None:
        key = "a" * 64
        for minute in range(2):
            store.write(entry_of(key, minute=minute), memoryview(b"four"), keep=1)
        before = store.previous(key)
        store.pin(key, pinned=True)
        assert store.invalidate([key], START) == 1
        current = store.lookup(key)
        assert current is not None
        store.update(current.entry.labelled("mine", ()))
        assert store.previous(key) == before

    @pytest.mark.parametrize("deed", ["delete", "clear", "damage"])
    def test_a_previous_version_goes_with_its_entry(self, store: Store, deed: str) -> None:
        key = "a" * 64
        for minute in range(2):
            stored = store.write(entry_of(key, minute=minute), memoryview(b"four"), keep=1)
        match deed:
            case "delete":
                assert store.delete([stored]) == Removed(1, 8)
            case "clear":
                assert store.clear() == Removed(1, 8)
            case "damage":
                stored.path.write_bytes(b"other")
                with pytest.raises(DamagedPayload):
                    store.read(stored)
        assert (store.lookup(key), store.previous(key), store.size()) == (None, None, 0)
        assert not list(store.directory.rglob("*.parquet"))

    @pytest.mark.parametrize("deed", ["delete", "damage"])
    def test_a_previous_version_goes_without_its_entry(self, store: Store, deed: str) -> None:
        key = "a" * 64
        for minute in range(2):
            stored = store.write(entry_of(key, minute=minute, pinned=True), memoryview(b"four"), keep=1)
        previous = store.previous(key)
        assert previous is not None
        if deed == "delete":
            assert store.delete([previous], pinned=False) == Removed(0, 4)
            assert store.delete([previous]) == Removed()
        else:
            previous.path.write_bytes(b"other")
            with pytest.raises(DamagedPayload):
                store.read(previous)
            assert store.read(previous) is None
        assert (store.lookup(key), store.previous(key), store.size()) == (stored, None, 4)
        assert store.read(stored) == b"four"

    def test_of_a_previous_version_that_was_replaced_nothing_is_read_or_deleted(self, store: Store) -> None:
        key = "a" * 64
        for minute in range(2):
            store.write(entry_of(key, minute=minute), memoryview(b"four"), keep=1)
        seen, was_current = store.previous(key), store.lookup(key)
        assert seen is not None
        assert was_current is not None
        store.write(entry_of(key, minute=2), memoryview(b"four"), keep=1)
        assert (store.read(seen), store.delete([seen, was_current])) == (None, Removed())
        assert store.size() == 8

    def test_a_slow_fetch_leaves_the_previous_version(self, store: Store) -> None:
        key = "a" * 64
        for minute in (1, 2):
            store.write(entry_of(key, minute=minute), memoryview(b"four"), keep=1)
        both = store.previous(key), store.lookup(key)
        slow = entry_of(key, minute=1)
        slow = replace(slow, provenance=replace(slow.provenance, elapsed=90.0))
        store.write(slow, memoryview(b"old"), keep=1)
        assert (store.previous(key), store.lookup(key)) == both

    # --- facts ---------------------------------------------------------------------------------------------

    def test_update_changes_the_facts_and_not_the_payload(self, store: Store) -> None:
        stored = store.write(entry_of("a" * 64), memoryview(b"payload"))
        store.update(stored.entry.labelled("mine", ("x",)))
        found = store.lookup("a" * 64)
        assert found is not None
        assert (found.entry.name, found.entry.tags, found.path) == ("mine", ("x",), stored.path)
        assert store.read(found) == b"payload"

    def test_renew_notes_a_proof_and_nothing_else(self, store: Store) -> None:
        seen = store.write(entry_of("a" * 64), memoryview(b"old")).entry
        store.update(seen.labelled("mine", ("x",)))
        store.pin("a" * 64, pinned=True)
        store.invalidate(["a" * 64], START)
        renewed = store.renew(seen, START + timedelta(hours=1))
        assert renewed is not None
        assert renewed == store.lookup("a" * 64)
        assert renewed.entry == replace(
            seen.labelled("mine", ("x",)),
            pinned=True,
            invalidated_at=START,
            validated_at=START + timedelta(hours=1),
        )
        newer = store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        assert store.renew(seen, START) == newer
        assert store.renew(entry_of("b" * 64), START) is None

    def test_what_is_noted_until_the_last_moment_is_settled_with(self, store: Store) -> None:
        seen: list[Entry] = []

        def settle(entry: Entry, older: Entry) -> Entry:
            seen.append(older)
            return entry.labelled("of the older one", ())

        assert store.write(entry_of("a" * 64), memoryview(b"old"), settle=settle).entry.name is None
        older = store.pin("a" * 64, pinned=True)
        assert older is not None
        stored = store.write(entry_of("a" * 64, minute=1), memoryview(b"new"), settle=settle)
        assert (seen, stored.entry.name) == ([older.entry], "of the older one")
        assert store.lookup("a" * 64) == stored

    def test_who_settles_may_refuse(self, store: Store) -> None:
        older = store.write(entry_of("a" * 64), memoryview(b"old"))

        def refuse(entry: Entry, older: Entry) -> Entry:
            raise NotCacheable("not now")

        with pytest.raises(NotCacheable, match="not now"):
            store.write(entry_of("a" * 64, minute=1), memoryview(b"new"), settle=refuse)
        assert (store.lookup("a" * 64), store.size()) == (older, 3)

    def test_update_leaves_a_newer_generation_alone(self, store: Store) -> None:
        old = store.write(entry_of("a" * 64), memoryview(b"old"))
        new = store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        store.update(old.entry.labelled("mine", ()))
        assert store.lookup("a" * 64) == new

    def test_what_is_invalidated_says_when_and_keeps_its_payload(self, store: Store) -> None:
        for key in "abc":
            store.write(entry_of(key * 64), memoryview(b"payload"))
        assert store.invalidate(["a" * 64, "b" * 64, "z" * 64], START) == 2
        assert store.invalidate(["b" * 64, "c" * 64], START + timedelta(hours=1)) == 1
        found = {stored.entry.key[0]: stored for stored in store.entries()}
        noted = {key: stored.entry.invalidated_at for key, stored in found.items()}
        assert noted == {"a": START, "b": START + timedelta(hours=1), "c": START + timedelta(hours=1)}
        assert [store.read(found[key]) for key in "abc"] == [b"payload"] * 3

    def test_an_update_by_someone_who_had_not_seen_it_keeps_an_invalidation(self, store: Store) -> None:
        seen_before = store.write(entry_of("a" * 64), memoryview(b"payload")).entry
        store.invalidate(["a" * 64], START)
        store.update(seen_before.labelled("mine", ()))
        found = store.lookup("a" * 64)
        assert found is not None
        assert (found.entry.name, found.entry.invalidated_at) == ("mine", START)

    def test_a_newer_payload_is_not_invalidated(self, store: Store) -> None:
        store.write(entry_of("a" * 64), memoryview(b"old"))
        store.invalidate(["a" * 64], START)
        store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        found = store.lookup("a" * 64)
        assert found is not None
        assert found.entry.invalidated_at is None

    def test_entries_are_newest_first(self, store: Store) -> None:
        for minute, key in enumerate("abc"):
            store.write(entry_of(key * 64, minute=minute), memoryview(b"x"))
        assert [stored.entry.key[0] for stored in store.entries()] == ["c", "b", "a"]

    def test_each_row_comes_once_while_others_write(self, store: Store) -> None:
        written = [store.write(entry_of(key * 64), memoryview(b"x")) for key in "abc"]
        rows = store.each()
        found = [next(rows)]
        store.write(entry_of("d" * 64), memoryview(b"x"))
        store.delete(found[:1])
        found += list(rows)
        assert {row.entry.key for row in written} <= {row.entry.key for row in found}
        assert len({row.entry.key for row in found}) == len(found)

    def test_statements_like_one_are_found_whatever_their_case_and_white_space(self, store: Store) -> None:
        for minute, (key, sql) in enumerate(
            [("a", "select 1"), ("b", "SELECT\n  1 "), ("c", "select 2"), ("d", "select 1")]
        ):
            entry = entry_of(key * 64, minute=minute)
            store.write(replace(entry, provenance=replace(entry.provenance, sql=sql)), memoryview(b"x"))
        assert [stored.entry.key[0] for stored in store.alike(" select 1")] == ["d", "b", "a"]
        assert store.alike(" select 1")[0] == store.lookup("d" * 64)
        assert store.alike("select 3") == []
        store.update(entry_of("a" * 64).labelled("mine", ()))
        store.delete(rows_of(store, "b" * 64))
        store.write(entry_of("d" * 64, minute=9), memoryview(b"new"))
        assert [stored.entry.key[0] for stored in store.alike("select 1")] == ["d", "a"]

    def test_of_many_statements_that_are_alike_some_of_the_latest_are_found(self, store: Store) -> None:
        keys = [f"{number:064x}" for number in range(100)]
        for minute, key in enumerate(keys):
            store.write(entry_of(key, minute=minute), memoryview(b"x"))
        found = [stored.entry.key for stored in store.alike("select 1")]
        assert 24 <= len(found) < 100
        assert found == keys[: -len(found) - 1 : -1]

    @pytest.mark.parametrize("source", ["sales.db", "odd \"%_\\' ä\ud800", ""])
    def test_the_latest_of_one_source_are_found(self, store: Store, source: str) -> None:
        for minute, (key, label) in enumerate(
            [("a", source), ("b", source + "x"), ("c", "x"), ("d", source)]
        ):
            entry = entry_of(key * 64, minute=minute, tags=(source,))
            store.write(replace(entry, provenance=replace(entry.provenance, source=label)), memoryview(b"x"))
        assert [stored.entry.key[0] for stored in store.latest(source)] == ["d", "a"]
        assert store.latest(source)[0] == store.lookup("d" * 64)
        assert store.latest("another") == []
        store.delete(rows_of(store, "d" * 64))
        assert [stored.entry.key[0] for stored in store.latest(source)] == ["a"]

    def test_of_many_of_one_source_some_of_the_latest_are_found(self, store: Store) -> None:
        keys = [f"{number:064x}" for number in range(300)]
        for minute, key in enumerate(keys):
            store.write(entry_of(key, minute=minute), memoryview(b"x"))
        found = [stored.entry.key for stored in store.latest("sales.db")]
        assert 100 <= len(found) < 300
        assert found == keys[: -len(found) - 1 : -1]

    def test_delete_counts_what_it_removed(self, store: Store) -> None:
        for key in "abc":
            store.write(entry_of(key * 64), memoryview(b"four"))
        assert store.delete(rows_of(store, "a" * 64, "c" * 64, "d" * 64)) == Removed(2, 8)
        assert [stored.entry.key[0] for stored in store.entries()] == ["b"]
        assert store.size() == 4

    def test_clear_deletes_everything(self, store: Store) -> None:
        for key in "abc":
            store.write(entry_of(key * 64), memoryview(b"four"))
        assert store.clear() == Removed(3, 12)
        assert (store.entries(), store.size()) == ([], 0)
        assert store.clear() == Removed(0, 0)

    def test_one_at_a_time_has_a_lease(self, store: Store) -> None:
        first, second = store.lease("a" * 64), store.lease("a" * 64)
        assert (first.note(), first.take(), second.take()) == (None, True, False)
        first.write("flight", Phase.RUNNING, "kernel 4711", START)
        note = second.note()
        assert note is not None
        assert (note.key, note.flight, note.phase) == ("a" * 64, "flight", Phase.RUNNING)
        assert (note.process, note.since) == ("kernel 4711", START)
        assert not second.is_orphaned(note)
        second.release()
        assert not second.take()
        first.release()
        assert second.take()
        second.release()

    def test_a_closed_store_opens_again(self, store: Store) -> None:
        written = store.write(entry_of("a" * 64), memoryview(b"payload"))
        store.close()
        assert store.lookup("a" * 64) == written

    # --- pins, and rows by the many --------------------------------------------------------------------

    def test_a_pin_is_noted_and_taken_away_by_itself_alone(self, store: Store) -> None:
        written = store.write(entry_of("a" * 64), memoryview(b"payload"))
        pinned = store.pin("a" * 64, pinned=True)
        assert pinned is not None
        assert (pinned.entry, pinned.path) == (replace(written.entry, pinned=True), written.path)
        assert store.lookup("a" * 64) == store.pin("a" * 64, pinned=True) == pinned
        store.update(written.entry.labelled("mine", ()))
        store.invalidate(["a" * 64], START)
        found = store.lookup("a" * 64)
        assert found is not None
        assert (found.entry.pinned, found.entry.name, found.entry.invalidated_at) == (True, "mine", START)
        unpinned = store.pin("a" * 64, pinned=False)
        assert unpinned == store.lookup("a" * 64) != found
        assert store.pin("b" * 64, pinned=True) is None

    def test_many_rows_are_deleted_with_their_payloads(self, store: Store) -> None:
        keys = [f"{number:064x}" for number in range(200)]
        rows = [store.write(entry_of(key), memoryview(b"four")) for key in keys]
        assert store.held() == Removed(200, 800)
        assert store.delete(rows[:150], pinned=True) == Removed(150, 600)
        assert store.delete(rows[:160], pinned=True) == Removed(10, 40)
        assert not any(row.path.exists() for row in rows[:160])
        assert {row.entry.key for row in store.entries()} == set(keys[160:])
        assert (store.size(), store.held()) == (160, Removed(40, 160))
        assert store.delete([], pinned=True) == Removed()

    def test_a_row_that_was_replaced_or_pinned_meanwhile_is_not_deleted(self, store: Store) -> None:
        seen = [store.write(entry_of(key * 64), memoryview(b"old")) for key in "abc"]
        store.write(entry_of("a" * 64, minute=1), memoryview(b"new"))
        store.pin("b" * 64, pinned=True)
        assert store.delete(seen, pinned=False) == Removed(1, 3)
        assert {row.entry.key[0] for row in store.entries()} == {"a", "b"}
        assert store.delete(seen, pinned=True) == Removed(1, 3)
        assert {row.entry.key[0] for row in store.entries()} == {"a"}

    def test_a_statement_that_speaks_of_pins_is_none(self, store: Store) -> None:
        entry = entry_of("a" * 64, name='"pinned": true')
        provenance = replace(entry.provenance, sql="select '{\"pinned\": true}'")
        seen = store.write(replace(entry, provenance=provenance), memoryview(b"x"))
        assert store.delete([seen], pinned=False) == Removed(1, 1)

    def test_a_reader_of_a_row_that_is_deleted_has_no_fault(self, store: Store) -> None:
        seen = store.write(entry_of("a" * 64), memoryview(b"payload"))
        store.delete([seen], pinned=True)
        assert (store.read(seen), store.open(seen)) == (None, None)

    # --- what was used ---------------------------------------------------------------------------------

    def test_uses_and_days_are_kept_beside_the_entries(self, store: Store) -> None:
        assert (store.uses.last(), store.uses.history()) == ({}, {})
        day = START.date()
        for hits in (1, 2):
            store.uses.record({"a" * 64: 1.5 * hits}, {day: Tally(hits=hits, saved=0.5)}, 5.0)
        assert store.uses.last() == {"a" * 64: 3.0}
        assert store.uses.history() == {day: Tally(hits=3, saved=1.0)}
        assert (store.entries(), store.size(), store.held()) == ([], 0, Removed())
        store.clear()
        assert store.uses.history() == {day: Tally(hits=3, saved=1.0)}
        store.uses.forget(["a" * 64], 5.0)
        assert store.uses.last() == {}

    def test_one_kernel_a_day_is_told_to_sweep(self, store: Store) -> None:
        assert store.uses.sweep_since(1e9) == 1e9
        assert store.uses.sweep_since(1e9 + 1) is None
        assert store.uses.sweep_since(1e9 + 86_400) == 1e9
