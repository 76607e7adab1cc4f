"""Conditional writes: only on services that are shown to heed conditions, and with lost responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from snapdir.errors import ConnectionFailed, NoConditionalWrites, StoreRefused
from snapdir.stores.remote import RemoteStore
from snapdir.stores.s3.conditions import IF_ABSENT, Conditions
from tests.e2e.scripted_s3 import ScriptedS3
from tests.rclone_server import RcloneServer
from tests.stores.s3.conftest import CREDENTIALS, opened

STORE = "s3://bucket/in/here"
KEY = "bucket/in/here/.refs/v1"
PROBE = "bucket/in/here/.refs/.probe"


@pytest.fixture
def scripted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    options: dict[str, Any] = getattr(request, "param", {"conditions": "heeded"})
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with ScriptedS3(**options) as server:
        monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", server.endpoint)
        yield server


@pytest.mark.parametrize("scripted", [{"conditions": "ignored"}, {"conditions": "refused"}], indirect=True)
async def test_a_service_without_conditions_is_found_out_before_anything_is_written(scripted: ScriptedS3) -> None:
    scripted.objects[KEY] = b"old"
    async with opened(STORE) as store:
        for old in (None, b"old"):
            with pytest.raises(NoConditionalWrites, match="does not support conditional writes"):
                await store.swap(".refs/v1", old, b"new")
    assert scripted.objects[KEY] == b"old"
    assert scripted.requests["PUT"] <= 2


async def test_rclone_ignores_conditions_and_is_found_out(server: RcloneServer) -> None:
    async with opened(f"s3://{server.bucket}/names") as store:
        with pytest.raises(NoConditionalWrites):
            await store.swap(".refs/v1", None, b"new")


async def test_a_service_is_asked_once(scripted: ScriptedS3) -> None:
    async with opened(STORE) as store:
        assert await store.swap(".refs/v1", None, b"1")
        puts = scripted.requests["PUT"]
        assert await store.swap(".refs/v1", b"1", b"2")
        assert scripted.requests["PUT"] == puts + 1
    assert set(scripted.objects) == {KEY, PROBE}


async def test_a_known_service_is_not_asked() -> None:
    async def put(*_: object) -> bool:
        raise AssertionError

    await Conditions(put, "AWS", are_heeded=True).require()


async def test_a_service_that_heeds_only_the_absence_is_found_out() -> None:
    async def put(_: str, __: bytes, condition: object) -> bool:
        return condition is not IF_ABSENT

    with pytest.raises(NoConditionalWrites):
        await Conditions(put, "half a service", are_heeded=None).require()


async def test_a_failure_to_find_out_is_no_answer() -> None:
    async def put(*_: object) -> bool:
        raise StoreRefused("the disk is full", status=507)

    conditions = Conditions(put, "a service", are_heeded=None)
    for _ in range(2):
        with pytest.raises(StoreRefused, match="full"):
            await conditions.require()


@pytest.mark.parametrize("old", [None, b"old"])
async def test_a_write_whose_response_got_lost_is_known_again(scripted: ScriptedS3, old: bytes | None) -> None:
    if old is not None:
        scripted.objects[KEY] = old
    async with opened(STORE) as store:
        await store.swap(".refs/other", None, b"1")
        fault = ["lost"]
        scripted.draw = lambda: fault.pop() if fault and scripted.last_method == "PUT" else ""  # type: ignore[method-assign]
        assert await RemoteStore(store).swap(".refs/v1", old, b"new")
    assert not fault
    assert scripted.objects[KEY] == b"new"


async def test_without_retries_a_lost_response_is_an_error(scripted: ScriptedS3) -> None:
    async with opened(STORE) as store:
        await store.swap(".refs/other", None, b"1")
        scripted.draw = lambda: "lost"  # type: ignore[method-assign]
        with pytest.raises(ConnectionFailed):
            await store.swap(".refs/v1", None, b"new")
