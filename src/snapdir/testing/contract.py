"""The promises of every store, as tests."""
# ruff: noqa: S101  # these are tests: the assertions are the point

from __future__ import annotations

import os
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from snapdir.errors import InFluxError, NoConditionalWrites, StoreMissing
from snapdir.stores.base import FileRange, Store
from snapdir.testing.back_doors import DATA, KEY, Collecting, cancelled_after, listed, open_file, raises
from snapdir.testing.contract_reading import ReadingContract
from snapdir.testing.contract_uploads import UploadContract

__all__ = ["StoreContract"]

ODD_KEYS = [
    "plain",
    "with space/and another",
    "plus+plus",
    "per%cent/%41",
    "amp&equals=semi;colon:at@",
    "hash#question?",
    "quote'double\"",
    "tilde~star*",
    "brackets[](){}",
    "back\\slash",
    "ünïcode/日本語",
    "nfc-é",
    "nfd-e\u0301",
    ".hidden/..dots/...",
    "-dash",
]


class StoreContract(ReadingContract, UploadContract):
    """Every promise of ``stores.base.Store``. Derive from it, and give it a store and two back doors.

    The tests are coroutines: run them with anyio's pytest plugin (``anyio_mode = "auto"``). A derived class has a
    fixture ``store``, an existing store that is empty, and ``put_behind`` and ``get_behind`` of ``BackDoors``; if
    a store of its kind can be missing, ``missing_store`` too.
    """

    async def swaps(self, store: Store) -> bool:
        """Whether the store has swaps; it says so if not."""
        try:
            return await store.swap("swapped", None, b"1")
        except NoConditionalWrites:
            assert self.get_behind("swapped") is None
            return False

    async def test_what_is_written_is_there(self, store: Store) -> None:
        assert await store.write(KEY, DATA) is True
        assert self.get_behind(KEY) == DATA

    async def test_an_empty_object_is_an_object(self, store: Store) -> None:
        await store.write(KEY, b"")
        assert self.get_behind(KEY) == b""
        assert (await store.stat(KEY)).size == 0
        assert await store.read(KEY) == b""

    async def test_a_write_can_be_repeated(self, store: Store) -> None:
        assert await store.write(KEY, DATA) is True
        assert await store.write(KEY, DATA) is True
        assert self.get_behind(KEY) == DATA

    async def test_a_write_replaces_what_was_there(self, store: Store) -> None:
        self.put_behind(KEY, b"something longer than the new content")
        await store.write(KEY, b"new")
        assert self.get_behind(KEY) == b"new"

    async def test_every_kind_of_buffer_is_written_and_not_kept(self, store: Store) -> None:
        data = bytearray(DATA)
        await store.write("array", data)
        await store.write("view", memoryview(data)[10:20])
        data[:] = bytes(len(data))
        data.extend(b"a bytearray cannot grow while somebody holds a view of it")
        assert self.get_behind("array") == DATA
        assert self.get_behind("view") == DATA[10:20]

    async def test_a_range_of_a_file_is_written(self, store: Store) -> None:
        with open_file(DATA) as fd:
            for offset, length in [(0, len(DATA)), (0, 10), (77, 1000), (len(DATA) - 1, 1), (5, 0)]:
                key = f"range/{offset}-{length}"
                await store.write(key, FileRange(fd, offset, length))
                assert self.get_behind(key) == DATA[offset : offset + length]
            assert os.read(fd, 4) == DATA[:4], "the descriptor stays open and its position stays"

    async def test_a_checksum_that_is_right_is_accepted(self, store: Store) -> None:
        with open_file(b"123456789") as fd:
            await store.write(KEY, FileRange(fd, 0, 9, crc32c=0xE3069283))
        assert self.get_behind(KEY) == b"123456789"

    async def test_a_file_that_is_not_what_was_hashed_is_not_stored(self, store: Store) -> None:
        for data in (DATA, DATA * 40):
            with open_file(data) as fd, raises(InFluxError):
                await store.write(KEY, FileRange(fd, 0, len(data), crc32c=1, digest="f" * 64))
            assert self.get_behind(KEY) is None

    async def test_of_two_conditional_writers_one_writes(self, store: Store) -> None:
        if not store.capabilities.conditional_write:
            return
        results = []

        async def write(data: bytes) -> None:
            results.append((await store.write(KEY, data, if_absent=True), data))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(write, bytes([number]) * 10_000)
        assert [data for written, data in results if written] == [self.get_behind(KEY)]
        assert await store.write(KEY, b"late", if_absent=True) is False
        assert self.get_behind(KEY) != b"late"

    async def test_a_swap_writes_only_in_the_place_of_what_it_names(self, store: Store) -> None:
        if not await self.swaps(store):
            return
        assert await store.swap(KEY, b"absent", b"1") is False
        assert self.get_behind(KEY) is None
        assert await store.swap(KEY, None, b"1") is True
        assert await store.swap(KEY, None, b"2") is False
        assert await store.swap(KEY, b"another", b"2") is False
        assert await store.swap(KEY, b"1 and more", b"2") is False
        assert self.get_behind(KEY) == b"1"
        assert await store.swap(KEY, b"1", b"22") is True
        assert await store.swap(KEY, b"1", b"3") is False
        assert self.get_behind(KEY) == b"22"

    async def test_a_swap_that_is_repeated_knows_its_own_effect(self, store: Store) -> None:
        if await self.swaps(store):
            for old, new in ((None, b"first"), (b"first", b"second")):
                assert [await store.swap(KEY, old, new) for _ in range(3)] == [True] * 3
                assert self.get_behind(KEY) == new

    async def test_of_concurrent_swaps_one_writes(self, store: Store) -> None:
        if not await self.swaps(store):
            return
        old: bytes | None = None
        for number in range(4):
            written: list[bytes] = []

            async def swap(new: bytes, old: bytes | None, written: list[bytes]) -> None:
                written += [new] if await store.swap(KEY, old, new) else []

            async with anyio.create_task_group() as group:
                for writer in range(8):
                    group.start_soon(swap, f"{number} {writer}".encode(), old, written)
            assert written == [self.get_behind(KEY)]
            old = written[0]

    async def test_a_cancelled_swap_leaves_all_or_nothing(self, store: Store) -> None:
        if await self.swaps(store):
            for steps in range(12):
                await cancelled_after(steps, partial(store.swap, f"cancelled/{steps}", None, DATA))
                assert self.get_behind(f"cancelled/{steps}") in (None, DATA)

    async def test_folders_are_one_level_of_the_keys(self, store: Store) -> None:
        assert list(await store.folders("")) == []
        for key in ("a/b/c", "a/b/d", "a/e", "f", "ü x/+/y", "a-/g"):
            self.put_behind(key, b"data")
        assert list(await store.folders("")) == ["a", "a-", "ü x"]
        assert list(await store.folders("a/")) == ["b"]
        assert list(await store.folders("ü x/")) == ["+"]
        assert list(await store.folders("a/b/")) == list(await store.folders("none/")) == []

    async def test_many_writers_do_not_mix_their_data(self, store: Store) -> None:
        for shard in range(3):  # a folder that two requests make at once costs one of them a 500 from rclone
            self.put_behind(f"shard{shard}/first", b"")
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(store.write, f"shard{number % 3}/{number}", f"{number} ".encode() * 500)
        for number in range(40):
            assert self.get_behind(f"shard{number % 3}/{number}") == f"{number} ".encode() * 500

    async def test_odd_keys_work_everywhere(self, store: Store) -> None:
        for key in ODD_KEYS:
            await store.write(key, key.encode())
        for key in ODD_KEYS:
            assert self.get_behind(key) == key.encode(), key
            assert await store.read(key) == key.encode(), key
            assert (await store.stat(key)).key == key
            assert key in [info.key for info in await listed(store, key)]
        assert sorted(info.key for info in await listed(store, "")) == sorted(ODD_KEYS)
        await store.delete(ODD_KEYS)
        assert await listed(store, "") == []

    async def test_a_key_never_shows_partial_bytes(self, store: Store) -> None:
        old, new = b"old" * 100_000, b"new" * 1_000_000
        self.put_behind(KEY, old)
        seen = set()
        async with anyio.create_task_group() as group:
            done = anyio.Event()

            async def write() -> None:
                await store.write(KEY, new)
                done.set()

            group.start_soon(write)
            while not done.is_set():
                seen.add(self.get_behind(KEY))
                await checkpoint()
        assert seen <= {old, new}
        assert self.get_behind(KEY) == new

    async def test_a_cancelled_write_leaves_all_or_nothing(self, store: Store) -> None:
        for steps in range(12):
            key = f"cancelled/{steps}"
            with open_file(DATA) as fd:
                await cancelled_after(steps, partial(store.write, key, FileRange(fd, 0, len(DATA))))
            assert self.get_behind(key) in (None, DATA)
            await cancelled_after(steps, partial(store.write, key, DATA * 50))
            assert self.get_behind(key) in (None, DATA, DATA * 50)

    async def test_a_write_cancelled_before_it_begins_has_no_effect(self, store: Store) -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.write(KEY, DATA)
        assert scope.cancelled_caught
        assert self.get_behind(KEY) is None

    async def test_keys_are_deleted_and_missing_ones_are_fine(self, store: Store) -> None:
        for key in ("a", "b", "c/d"):
            self.put_behind(key, DATA)
        await store.delete(["a", "none", "c/d", "c", "c/none/none"])
        await store.delete(["a"])
        await store.delete([])
        assert [self.get_behind(key) for key in ("a", "b", "c/d")] == [None, DATA, None]

    async def test_a_store_that_does_not_exist_says_so(self) -> None:
        missing = self.missing_store()
        if missing is None:
            return
        for call in (
            lambda: missing.stat(KEY),
            lambda: missing.read(KEY),
            lambda: missing.read_into(KEY, memoryview(bytearray(1)), start=0),
            lambda: missing.read_through(KEY, Collecting(), start=0, length=1),
            lambda: listed(missing, ""),
            lambda: missing.folders(""),
        ):
            with raises(StoreMissing):
                await call()
        await missing.aclose()

    async def test_a_local_path_holds_the_object(self, store: Store) -> None:
        await store.write(KEY, DATA)
        path = store.local_path(KEY)
        if path is not None:
            assert path.read_bytes() == DATA

    async def test_a_store_can_be_closed_twice_and_names_itself(self, store: Store) -> None:
        assert "://" in store.url
        await store.aclose()
        await store.aclose()
