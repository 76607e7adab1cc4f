"""The promises of every store about reading and listing, as tests."""
# ruff: noqa: S101  # these are tests: the assertions are the point

from __future__ import annotations

import errno
from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from snapdir.errors import ObjectNotFound
from snapdir.stores.base import Page, Store, first_page
from snapdir.stores.blocks import MIN_BLOCK_BYTES
from snapdir.testing.back_doors import DATA, KEY, BackDoors, Collecting, cancelled_after, listed, raises

__all__ = ["ReadingContract"]


class ReadingContract(BackDoors):
    """Reading and listing."""

    async def test_all_of_an_object_is_read(self, store: Store) -> None:
        self.put_behind(KEY, DATA)
        assert await store.read(KEY) == DATA

    async def test_ranges_are_read_and_short_at_the_end(self, store: Store) -> None:
        self.put_behind(KEY, DATA)
        size = len(DATA)
        for start in (0, 1, 255, size - 1, size, size + 1):
            for length in (None, 0, 1, 256, size, size * 2):
                expected = DATA[start:] if length is None else DATA[start : start + length]
                assert await store.read(KEY, start=start, length=length) == expected, (start, length)

    async def test_buffers_are_filled_and_short_at_the_end(self, store: Store) -> None:
        self.put_behind(KEY, DATA)
        size = len(DATA)
        for start in (0, 1, size - 1, size):
            for length in (0, 1, 256, size, size + 10):
                buffer = bytearray(b"\xee" * (length + 2))
                received = await store.read_into(KEY, memoryview(buffer)[1:-1], start=start)
                expected = DATA[start : start + length]
                assert received == len(expected), (start, length)
                assert buffer[1 : 1 + received] == expected
                assert buffer[:1] + buffer[1 + received :] == b"\xee" * (length + 2 - received), "nothing else changes"

    async def test_objects_pass_through_a_block_in_order_and_short_at_the_end(self, store: Store) -> None:
        data = DATA * 40
        self.put_behind(KEY, data)
        size, block = len(data), MIN_BLOCK_BYTES
        for start in (0, 1, block, size - 1, size, size + 1):
            for length in (0, 1, block - 1, block, block + 1, 2 * block, size, size + 10):
                sink = Collecting()
                await store.read_through(KEY, sink, start=start, length=length)
                assert sink.data == data[start : start + length], (start, length)
                assert sink.consumed == len(sink.data)
                sink.free_block()

    async def test_nothing_passes_of_an_empty_object(self, store: Store) -> None:
        self.put_behind(KEY, b"")
        sink = Collecting()
        await store.read_through(KEY, sink, start=0, length=10)
        assert sink.consumed == 0

    async def test_one_sink_takes_one_range_behind_another(self, store: Store) -> None:
        self.put_behind(KEY, DATA)
        sink = Collecting()
        await store.read_through(KEY, sink, start=0, length=1000)
        await store.read_through(KEY, sink, start=1000, length=len(DATA))
        assert sink.data == DATA

    async def test_what_a_sink_raises_leaves_as_it_is(self, store: Store) -> None:
        self.put_behind(KEY, DATA * 40)
        for error in (ValueError("no"), OSError(errno.EIO, "no"), TimeoutError("no"), ConnectionResetError("no")):
            sink = Collecting(error)
            with raises(type(error)) as raised:
                await store.read_through(KEY, sink, start=0, length=len(DATA) * 40)
            assert raised[0].args == error.args
            assert sink.consumed == 0
            assert await store.read(KEY, length=10) == DATA[:10], "the store works on"

    async def test_a_cancelled_read_leaves_its_block_alone(self, store: Store) -> None:
        data = DATA * 40
        self.put_behind(KEY, data)
        for steps in range(16):
            sink = Collecting()
            await cancelled_after(steps, partial(store.read_through, KEY, sink, start=0, length=len(data)))
            assert data.startswith(bytes(sink.data))
            assert sink.consumed == len(sink.data)
            sink.free_block()
            for _ in range(10):
                await checkpoint()
            assert sink.consumed == len(sink.data)

    async def test_the_size_of_an_object_is_known(self, store: Store) -> None:
        self.put_behind(KEY, DATA)
        info = await store.stat(KEY)
        assert (info.key, info.size) == (KEY, len(DATA))

    async def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        self.put_behind("folder/object", DATA)
        for key in (KEY, "folder", "folder/objec", "folder/object/below", "folder/object2"):
            for call in (
                lambda key=key: store.stat(key),
                lambda key=key: store.read(key),
                lambda key=key: store.read(key, start=10, length=10),
                lambda key=key: store.read_into(key, memoryview(bytearray(10)), start=0),
                lambda key=key: store.read_through(key, Collecting(), start=0, length=10),
                lambda key=key: store.read_through(key, Collecting(), start=0, length=0),
            ):
                with raises(ObjectNotFound) as raised:
                    await call()
                assert raised[0].key == key  # type: ignore[attr-defined]

    async def test_many_readers_do_not_mix_their_data(self, store: Store) -> None:
        self.put_behind(KEY, DATA)

        async def read(start: int) -> None:
            assert await store.read(KEY, start=start, length=500) == DATA[start : start + 500]

        async with anyio.create_task_group() as group:
            for start in range(0, 4000, 100):
                group.start_soon(read, start)

    async def test_an_empty_store_lists_no_pages(self, store: Store) -> None:
        assert [page async for page in store.list("")] == []
        assert [page async for page in store.list(".objects/")] == []

    async def test_every_key_is_listed_once(self, store: Store) -> None:
        keys = ["a-b", "a/b", "a/b-", "a/c/d", "a0", "aa/x", "b", "b!", "é", "z/é", "z/z", "日本", "\U0001f600"]
        for key in reversed(keys):
            self.put_behind(key, key.encode())
        assert sorted((info.key, info.size) for info in await listed(store, "")) == [
            (key, len(key.encode())) for key in sorted(keys, key=str.encode)
        ]

    async def test_a_prefix_is_text_not_a_folder(self, store: Store) -> None:
        keys = ["a-b", "a/b", "a/bc", "a/c", "ab/c", "b/a/b"]
        for key in keys:
            self.put_behind(key, b"data")
        for prefix in ("", "a", "a/", "a/b", "a/bc", "a/bcd", "ab", "b/a/", "c", "a/c/", "/", "a//"):
            expected = sorted(key for key in keys if key.startswith(prefix))
            assert sorted(info.key for info in await listed(store, prefix)) == expected, prefix

    async def test_a_listing_can_start_anywhere(self, store: Store) -> None:
        keys = sorted(["a-", "a/a", "a/b/c", "a/b/d", "a/c", "a0", "b"])
        for key in keys:
            self.put_behind(key, b"data")
        for start in (*keys, "a", "a/", "a/b", "a/b/", "a/b/c0", "a/b0", "a/bb", "a1", "zz", "A"):
            for prefix in ("", "a/", "a/b"):
                expected = [key for key in keys if key > start and key.startswith(prefix)]
                found = sorted(info.key for info in await listed(store, prefix, start_after=start))
                assert found == expected, (prefix, start)

    async def test_a_long_listing_comes_in_pages(self, store: Store) -> None:
        limit = store.capabilities.list_page_keys
        keys = [f"many/{number % 7}/{number:05}" for number in range(limit + 5)]
        for key in keys:
            self.put_behind(key, b"x")
        pages = [page async for page in store.list("many/")]
        assert all(0 < len(page) <= limit for page in pages)
        assert sorted(info.key for page in pages for info in page) == sorted(keys)

    async def test_a_listing_can_go_on_behind_a_page_that_says_how(self, store: Store) -> None:
        keys = {f"{number:05}" for number in range(store.capabilities.list_page_keys + 5)}
        for key in keys:
            self.put_behind(key, b"x")
        first = await first_page(store, "")
        assert isinstance(first, Page)
        if first.resume is not None:
            behind = {info.key async for page in store.list("", resume=first.resume) for info in page}
            assert behind | {info.key for info in first} == keys
            assert len(behind) < len(keys)

    async def test_a_listing_can_be_left_early(self, store: Store) -> None:
        for number in range(5):
            self.put_behind(f"key{number}", b"x")
        pages = store.list("")
        async for _ in pages:
            break
        assert len(await listed(store, "")) == 5

    async def test_what_was_written_is_listed_and_what_was_deleted_is_not(self, store: Store) -> None:
        await store.write(KEY, DATA)
        await store.write("other", b"")
        assert sorted((info.key, info.size) for info in await listed(store, "")) == [(KEY, len(DATA)), ("other", 0)]
        await store.delete([KEY])
        assert [info.key for info in await listed(store, "")] == ["other"]
