"""False successes: a 200 with an error inside, a 204 to a write, a web page. Nothing counts as stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from snapdir.errors import AccessDenied, InvalidResponse, StoreError, StoreRefused, Throttled, TransientStoreError
from snapdir.stores.s3.store import S3Store
from tests.stores.s3.canned_server import XML, reply
from tests.stores.s3.conftest import CannedS3

BEGUN = reply(f"{XML}<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
PART_BYTES = 5 << 20


def inside(code: str) -> str:
    return f"{XML}<Error><Code>{code}</Code><Message>no</Message></Error>"


async def write_part(store: S3Store) -> None:
    await (await store.begin_upload("key", size=4, part_bytes=PART_BYTES)).write_part(1, b"data")


async def commit(store: S3Store) -> None:
    upload = await store.begin_upload("key", size=4, part_bytes=PART_BYTES)
    await upload.write_part(1, b"data")
    await upload.commit()


async def copy_part(store: S3Store) -> None:
    upload = await store.begin_upload("key", size=4, part_bytes=PART_BYTES)
    await upload.copy_part(1, "bucket/other", start=0, length=4)


WRITES: dict[str, tuple[int, Callable[[S3Store], Awaitable[object]]]] = {
    "write": (0, lambda store: store.write("key", b"data")),
    "write if absent": (0, lambda store: store.write("key", b"data", if_absent=True)),
    "begin": (0, lambda store: store.begin_upload("key", size=4, part_bytes=PART_BYTES)),
    "part": (1, write_part),
    "commit": (2, commit),
    "copy": (0, lambda store: store.copy_from("key", "bucket/other")),
    "copied part": (1, copy_part),
    "delete": (0, lambda store: store.delete(["key"])),
    "delete many": (0, lambda store: store.delete(["key", "other"])),
}
BEFORE = [BEGUN, reply()]


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize(
    ("code", "kind"), [("InternalError", TransientStoreError), ("SlowDown", Throttled), ("AccessDenied", AccessDenied)]
)
async def test_an_error_within_a_success_is_that_error(
    against: CannedS3, call: str, code: str, kind: type[StoreError]
) -> None:
    begun, write = WRITES[call]
    look = [reply("", status=404)] if call == "write if absent" else []
    async with against(*look, *BEFORE[:begun], reply(inside(code))) as (store, server):
        with pytest.raises(kind, match=code):
            await write(store)
        server.play(reply(status=204))


@pytest.mark.parametrize("status", [204, 201, 206])
@pytest.mark.parametrize("call", [call for call in WRITES if not call.startswith("delete")])
async def test_another_success_than_200_stored_nothing(against: CannedS3, call: str, status: int) -> None:
    begun, write = WRITES[call]
    look = [reply("", status=404)] if call == "write if absent" else []
    async with against(*look, *BEFORE[:begun], reply("", status=status, length=None)) as (store, server):
        with pytest.raises((TransientStoreError, StoreRefused)):
            await write(store)
        server.play(reply(status=204))


async def test_a_204_to_a_write_is_worth_another_try(against: CannedS3) -> None:
    async with against(reply("", status=204, length=None)) as (store, _):
        with pytest.raises(InvalidResponse, match="204"):
            await store.write("key", b"data")


@pytest.mark.parametrize("body", ["<html><body>Welcome</body></html>", "OK", "{}"])
@pytest.mark.parametrize("call", ["write", "part"])
async def test_a_write_that_is_answered_by_a_page_is_not_stored(against: CannedS3, call: str, body: str) -> None:
    begun, write = WRITES[call]
    async with against(*BEFORE[:begun], reply(body)) as (store, server):
        with pytest.raises(InvalidResponse):
            await write(store)
        server.play(reply(status=204))


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDenied", AccessDenied), ("SlowDown", Throttled), ("InternalError", TransientStoreError)]
)
async def test_a_key_that_was_not_deleted_is_the_error_it_was_refused_with(
    against: CannedS3, code: str, kind: type[StoreError]
) -> None:
    response = f"{XML}<DeleteResult><Error><Key>prefix/b</Key><Code>{code}</Code></Error></DeleteResult>"
    async with against(reply(response)) as (store, _):
        with pytest.raises(kind, match="bucket/prefix/b at") as raised:
            await store.delete(["a", "b"])
    assert raised.value.key == "b"


async def test_a_retry_after_that_is_longer_than_the_wait_is_named(against: CannedS3) -> None:
    busy = f"{XML}<Error><Code>SlowDown</Code></Error>"
    for seconds, is_named in (("3600", True), ("60", False)):
        async with against(reply(busy, status=503, Retry_After=seconds)) as (store, _):
            with pytest.raises(Throttled) as raised:
                await store.write("key", b"data")
        assert ("its Retry-After is 3600 s" in str(raised.value)) == is_named
        assert raised.value.retry_after_seconds == float(seconds)
