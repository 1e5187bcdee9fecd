"""The store against a dictionary: whatever is done in whatever order, by two of them on one directory."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sqlcache_nb.entry import Entry
from sqlcache_nb.errors import DamagedPayload
from sqlcache_nb.stores import Removed, Stored
from sqlcache_nb.stores.disk import DiskStore
from tests.faults import rows_of
from tests.oracle import inconsistencies
from tests.scale import folder_in_memory, scaled
from tests.store_contract import START, entry_of, proven, word_of

keys = st.sampled_from([letter * 64 for letter in "abc"])
stores = st.integers(0, 1)
DAMAGES = ["flip", "cut", "gone", "row", "seal"]


class TheStore(RuleBasedStateMachine):
    """What is stored is in `model`: by key, the entry and the word of its payload; what it replaced, in `previous`."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = folder_in_memory()
        self.stores = [DiskStore(self.directory) for _ in range(2)]
        self.model: dict[str, tuple[Entry, str]] = {}
        self.damaged: dict[str, str] = {}
        self.previous: dict[str, tuple[Entry, str]] = {}
        self.damaged_previous: dict[str, str] = {}
        self.minute = 0

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        assert self.damaged or self.damaged_previous or inconsistencies(self.directory) == []
        shutil.rmtree(self.directory)

    def found(self, key: str) -> Stored | None:
        """What both stores find, which must be the same."""
        first, second = [store.lookup(key) for store in self.stores]
        assert first == second
        return first

    def forget(self, key: str) -> None:
        """Know of an entry no more, and so not of what it replaced."""
        for each in (self.model, self.damaged, self.previous, self.damaged_previous):
            each.pop(key, None)

    def step_back(self, key: str, content: str) -> None:
        """Let an entry be replaced by one with this content, and be kept."""
        damage = self.damaged.pop(key, None)
        before = self.model.get(key)
        if before is None or damage in {"row", "seal", "gone"}:
            self.forget(key)
        elif before[0].content != content or content == "":
            self.damaged_previous.pop(key, None)
            self.previous[key] = (replace(before[0], pinned=False), before[1])
            if damage is not None:
                self.damaged_previous[key] = damage

    @rule(
        key=keys,
        which=stores,
        size=st.integers(0, 40),
        spool=st.booleans(),
        keep=st.integers(0, 1),
        content=st.sampled_from(["", "one", "two"]),
        pinned=st.booleans(),
    )
    def write(
        self, key: str, which: int, size: int, spool: bool, keep: int, content: str, pinned: bool
    ) -> None:
        self.minute += 1
        word = "w" * size + str(self.minute)
        entry = entry_of(key, minute=self.minute, content=content, pinned=pinned)
        payload, store = proven(key, word), self.stores[which]
        if spool:
            with store.spool() as file:
                file.write(payload)
                stored = store.write(entry, file, keep=keep)
        else:
            stored = store.write(entry, memoryview(payload), keep=keep)
        if keep:
            self.step_back(key, content)
        else:
            self.forget(key)
        self.model[key] = (stored.entry, word)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), which=stores)
    def write_what_was_fetched_slowly(self, data: st.DataObject, which: int) -> None:
        keep = data.draw(st.integers(0, 1))
        key = data.draw(st.sampled_from(sorted(self.model)))
        if self.damaged.get(key) in {"row", "seal"}:
            return
        before = self.model[key][0]
        slow = replace(
            before.provenance, fetched_at=before.provenance.fetched_at - timedelta(seconds=1), elapsed=9.0
        )
        stored = self.stores[which].write(replace(before, provenance=slow), memoryview(b"slow"), keep=keep)
        assert stored.entry == before

    @rule(key=keys, which=stores, opened=st.booleans())
    def read(self, key: str, which: int, opened: bool) -> None:
        stored = self.stores[which].lookup(key)
        damage = self.damaged.get(key)
        if damage in {"row", "seal"} or key not in self.model:
            assert stored is None
            self.forget(key)
            return
        assert stored is not None
        assert stored.entry == self.model[key][0]
        try:
            payload = self.open(stored, which) if opened else self.stores[which].read(stored)
        except DamagedPayload:
            assert damage is not None
            self.forget(key)
        else:
            assert payload is not None
            assert (damage, word_of(key, payload)) == (None, self.model[key][1])

    @rule(key=keys, which=stores, opened=st.booleans())
    def read_what_was_replaced(self, key: str, which: int, opened: bool) -> None:
        stored = self.stores[which].previous(key)
        damage = self.damaged_previous.pop(key, None)
        if damage in {"row", "seal"} or key not in self.previous:
            assert stored is None
            self.previous.pop(key, None)
            return
        assert stored is not None
        assert stored.entry == self.previous[key][0]
        try:
            payload = self.open(stored, which) if opened else self.stores[which].read(stored)
        except DamagedPayload:
            assert damage is not None
            del self.previous[key]
        else:
            assert payload is not None
            assert (damage, word_of(key, payload)) == (None, self.previous[key][1])

    @rule(key=keys, which=stores)
    def delete_what_was_replaced(self, key: str, which: int) -> None:
        stored = self.stores[which].previous(key)
        if stored is not None:
            assert self.stores[which].delete([stored], pinned=False) == Removed(0, stored.entry.bytes)
        self.previous.pop(key, None)
        self.damaged_previous.pop(key, None)

    def open(self, stored: Stored, which: int) -> bytes | None:
        file = self.stores[which].open(stored)
        if file is None:
            return None
        with file:
            return file.read()

    @rule(some=st.lists(keys), which=stores)
    def delete(self, some: list[str], which: int) -> None:
        removed = self.stores[which].delete(rows_of(self.stores[which], *some))
        # One that is damaged is deleted as it is looked for.
        readable = [key for key in self.model if key in some and self.damaged.get(key) not in {"row", "seal"}]
        gone = [self.model[key] for key in readable]
        with_them = [self.previous[key] for key in readable if key in self.previous]
        assert removed == Removed(len(gone), sum(entry.bytes for entry, _ in gone + with_them))
        for key in some:
            self.forget(key)

    @rule(which=stores)
    def clear(self, which: int) -> None:
        assert self.stores[which].clear() == Removed(len(self.model), self.size())
        for key in list(self.model):
            self.forget(key)

    def size(self) -> int:
        """Bytes of all payloads."""
        return sum(entry.bytes for each in (self.model, self.previous) for entry, _ in each.values())

    @rule(some=st.lists(keys, unique=True), which=stores)
    def invalidate(self, some: list[str], which: int) -> None:
        self.minute += 1
        when = START + timedelta(minutes=self.minute)
        there = [key for key in some if key in self.model and self.damaged.get(key) not in {"row", "seal"}]
        new = sum(self.model[key][0].invalidated_at is None for key in there)
        assert self.stores[which].invalidate(some, when) == new
        for key in there:
            entry, word = self.model[key]
            self.model[key] = (replace(entry, invalidated_at=when), word)

    @rule(key=keys, which=stores, tag=st.text(max_size=3))
    def update(self, key: str, which: int, tag: str) -> None:
        if key not in self.model or self.damaged.get(key) in {"row", "seal"}:
            self.stores[which].update(entry_of(key, checksum="none"))
            return
        entry, word = self.model[key]
        self.model[key] = (entry.labelled(None, (tag,)), word)
        self.stores[which].update(self.model[key][0])

    @rule(which=stores)
    def close(self, which: int) -> None:
        self.stores[which].close()

    @rule(which=stores)
    def open_another(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = DiskStore(self.directory)

    @precondition(lambda self: self.model.keys() - self.damaged.keys())
    @rule(data=st.data(), how=st.sampled_from(DAMAGES))
    def damage(self, data: st.DataObject, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.model.keys() - self.damaged.keys())))
        stored = self.found(key)
        assert stored is not None
        self.damaged[key] = how
        match how:
            case "flip":
                payload = bytearray(stored.path.read_bytes())
                payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
                stored.path.write_bytes(payload)
            case "cut":
                os.truncate(stored.path, data.draw(st.integers(0, stored.entry.bytes - 1)))
            case "gone":
                stored.path.unlink()
            case _:
                value = "{}" if how == "row" else stored.entry.to_json()
                con = self.stores[0]._database.table().con
                con.execute("UPDATE Cache SET value = ? WHERE key = ? AND raw = 1", (value, key))

    @precondition(lambda self: self.previous.keys() - self.damaged_previous.keys())
    @rule(data=st.data(), how=st.sampled_from(["cut", "gone", "row", "swap"]))
    def damage_what_was_replaced(self, data: st.DataObject, how: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.previous.keys() - self.damaged_previous.keys())))
        stored = self.stores[0].previous(key)
        assert stored is not None
        self.damaged_previous[key] = "row" if how == "swap" else how
        con = self.stores[0]._database.table().con
        match how:
            case "cut":
                os.truncate(stored.path, data.draw(st.integers(0, stored.entry.bytes - 1)))
            case "gone":
                stored.path.unlink()
            case "row":
                con.execute("UPDATE Cache SET value = '{}' WHERE key = ? AND raw = -1", (key,))
            case "swap":  # with the row that replaced it: neither is what it says then
                self.damaged[key] = "row"
                for now, then in ((1, 0), (-1, 1), (0, -1)):
                    con.execute("UPDATE Cache SET raw = ? WHERE key = ? AND raw = ?", (then, key, now))

    @rule(which=stores, age=st.sampled_from([0, 100_000]))
    def leave_something(self, which: int, age: int) -> None:
        """A payload of a writer that was killed: who has been at it for an hour is dead."""
        folder = self.directory / "v1" / "ab"
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.minute:030x}.parquet"
        path.write_bytes(b"left")
        os.utime(path, (time.time() - age,) * 2)
        report = self.stores[which].check()
        name = f"ab/{path.name}"
        assert name in (report.orphaned if age else report.unfinished)
        if age:
            self.stores[which]._sweep()
            assert not path.exists()
        path.unlink(missing_ok=True)

    @rule(which=stores, repair=st.booleans())
    def check(self, which: int, repair: bool) -> None:
        report = self.stores[which].check(repair=repair)
        damages = [*self.damaged.items(), *self.damaged_previous.items()]
        for kind, causes in {
            "unreadable": {"row", "seal"},
            "missing": {"gone"},
            "damaged": {"flip", "cut"},
        }.items():
            assert sorted(getattr(report, kind)) == sorted(key for key, how in damages if how in causes)
        assert report.faults == len(damages)
        assert report.entries == len(self.model) - len(self.damaged)
        if repair:
            for key in list(self.damaged):
                self.forget(key)
            for key in self.damaged_previous:
                del self.previous[key]
            self.damaged_previous.clear()
            assert self.stores[which].check().faults == 0

    @invariant()
    def all_agree(self) -> None:
        expected = [
            entry for key, (entry, _) in self.model.items() if self.damaged.get(key) not in {"row", "seal"}
        ]
        expected.sort(key=lambda entry: entry.provenance.fetched_at, reverse=True)
        for store in self.stores:
            assert [stored.entry for stored in store.entries()] == expected
            assert store.alike("SELECT  1") == store.entries()
            assert store.size() == self.size()
            for key in self.previous.keys() - self.damaged_previous.keys():
                found = store.previous(key)
                assert found is not None
                assert found.entry == self.previous[key][0]
            for key in {letter * 64 for letter in "abc"} - self.previous.keys():
                assert store.previous(key) is None


TestTheStore = TheStore.TestCase
TestTheStore.settings = settings(max_examples=scaled(1_000), stateful_step_count=30, deadline=None)
