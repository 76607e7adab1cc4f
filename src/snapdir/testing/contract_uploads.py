"""The promises of every store about uploads in parts, as tests."""
# ruff: noqa: S101  # these are tests: the assertions are the point

from __future__ import annotations

from functools import partial

import anyio

from snapdir.errors import InFluxError
from snapdir.stores.base import FileRange, Store
from snapdir.testing.back_doors import KEY, BackDoors, cancelled_after, large_object, listed, open_file, raises

__all__ = ["UploadContract"]


class UploadContract(BackDoors):
    """Uploads in parts."""

    async def test_parts_may_come_in_any_order_and_side_by_side(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
        await upload.write_part(3, data[2 * part_bytes :])
        assert self.get_behind(KEY) is None
        async with anyio.create_task_group() as group:
            with open_file(data) as fd:
                group.start_soon(upload.write_part, 2, memoryview(data)[part_bytes : 2 * part_bytes])
                await upload.write_part(1, FileRange(fd, 0, part_bytes))
        assert self.get_behind(KEY) is None
        await upload.commit()
        assert self.get_behind(KEY) == data

    async def test_a_repeated_part_replaces_the_first(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
        wrong = bytes(part_bytes)
        await upload.write_part(1, wrong)
        for number in (3, 2, 1):
            await upload.write_part(number, data[(number - 1) * part_bytes : number * part_bytes])
        await upload.commit()
        assert self.get_behind(KEY) == data

    async def test_an_upload_replaces_what_was_there_when_it_is_committed(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        self.put_behind(KEY, b"old")
        upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
        for number in (1, 2, 3):
            await upload.write_part(number, data[(number - 1) * part_bytes : number * part_bytes])
        assert self.get_behind(KEY) == b"old"
        await upload.commit()
        assert self.get_behind(KEY) == data
        assert [info.key for info in await listed(store, "")] == [KEY]

    async def test_a_part_that_is_not_what_was_hashed_is_not_taken(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
        with open_file(data) as fd, raises(InFluxError):
            await upload.write_part(1, FileRange(fd, 0, part_bytes, crc32c=1))
        await upload.abort()
        assert self.get_behind(KEY) is None

    async def test_an_aborted_upload_leaves_nothing(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
        await upload.write_part(1, data[:part_bytes])
        await upload.abort()
        await upload.abort()
        assert self.get_behind(KEY) is None
        assert await listed(store, "") == []

    async def test_a_cancelled_part_leaves_an_upload_that_can_be_aborted(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        for steps in (0, 1, 3, 6):
            upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
            await cancelled_after(steps, partial(upload.write_part, 1, data[:part_bytes]))
            await upload.abort()
            assert self.get_behind(KEY) is None

    async def test_a_cancelled_commit_leaves_all_or_nothing(self, store: Store) -> None:
        data, part_bytes = large_object(store)
        for steps in (0, 1, 3, 6):
            upload = await store.begin_upload(KEY, size=len(data), part_bytes=part_bytes)
            for number in (1, 2, 3):
                await upload.write_part(number, data[(number - 1) * part_bytes : number * part_bytes])
            await cancelled_after(steps, upload.commit)
            assert self.get_behind(KEY) in (None, data)
            await upload.abort()
            assert self.get_behind(KEY) in (None, data)
