"""Credentials are kept while they are valid, and read again from their source once a service finds them expired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from snapdir.errors import AccessDenied, ConnectionFailed, StoreRefused
from snapdir.stores.open import open_store
from snapdir.stores.s3.credentials import ChainCredentials, EnvironmentCredentials
from snapdir.stores.s3.target import S3Target
from snapdir.stores.urls import StoreURL

from .canned_server import Answer, Exchange, canned, error, reply
from .conftest import QUICK

TARGET = S3Target.of(StoreURL.parse("s3://bucket"), {}).with_profile(endpoint=None, region=None)
Give = Callable[[str], None]


@pytest.fixture
def give(tmp_path: Path) -> Give:
    """Writes the real file of credentials in the home directory."""

    def write(access_key: str) -> None:
        file = tmp_path / "home/.aws/credentials"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = canary\n")

    return write


def renewing(give: Give, access_key: str, answer: Answer) -> Answer:
    """``answer``, after the file of credentials was renewed."""

    async def play(exchange: Exchange) -> bool:
        give(access_key)
        return await answer(exchange)

    return play


async def test_keys_are_kept_until_they_are_read_again(give: Give) -> None:
    give("FIRST")
    source = ChainCredentials(TARGET)
    assert (await source.credentials()).access_key == "FIRST"
    give("SECOND")
    assert (await source.credentials()).access_key == "FIRST"
    assert (await source.read_again()).access_key == "SECOND"
    assert (await source.credentials()).access_key == "SECOND"


async def test_a_call_that_was_cancelled_ends_no_program_of_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, started = tmp_path / "program", tmp_path / "started"
    monkeypatch.setenv("PROGRAM_STARTED", str(started))
    program.write_text(
        "#!/bin/sh\n"
        'if [ ! -e "$PROGRAM_STARTED" ]; then echo > "$PROGRAM_STARTED"; exec sleep 600; fi\n'
        "sleep 0.2\n"
        """echo '{"Version": 1, "AccessKeyId": "LATER", "SecretAccessKey": "canary"}'\n"""
    )
    program.chmod(0o700)
    (tmp_path / "home/.aws").mkdir(parents=True)
    (tmp_path / "home/.aws/config").write_text(f"[default]\ncredential_process = {program}\n")
    source = ChainCredentials(TARGET)
    async with anyio.create_task_group() as group:
        group.start_soon(source.credentials)
        while not started.exists():  # noqa: ASYNC110  # another process makes it
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert (await source.credentials()).access_key == "LATER"


async def test_keys_of_the_environment_are_read_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FIRST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    source = EnvironmentCredentials.find()
    assert source is not None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SECOND")
    assert (await source.credentials()).access_key == "FIRST"
    assert (await source.read_again()).access_key == "SECOND"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert (await source.read_again()).access_key == "SECOND"


@pytest.mark.parametrize(
    "expired", [error("ExpiredToken", 400), reply(status=400)], ids=["with-its-code", "as-a-head-is-refused"]
)
async def test_keys_that_were_renewed_on_disk_are_taken_when_the_old_ones_have_expired(
    give: Give, monkeypatch: pytest.MonkeyPatch, expired: Answer
) -> None:
    give("FIRST")
    async with canned(renewing(give, "SECOND", expired), reply(b"x")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            assert (await store.stat("key")).size == 1
            assert (await store.stat("key")).size == 1
    used = [request.headers["authorization"].partition("Credential=")[2][:5] for request in server.requests]
    assert used == ["FIRST", "SECON", "SECON"]


async def test_keys_that_stayed_the_same_are_asked_with_once(give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    give("FIRST")
    async with canned(error("ExpiredToken", 400)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(AccessDenied, match=r"ExpiredToken.*sign in again"):
                await store.read("key")
            with pytest.raises(AccessDenied):
                await store.read("key")
    assert len(server.requests) == 2


async def test_keys_that_are_gone_from_the_disk_are_said_to_be(
    give: Give, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give("FIRST")

    async def gone(exchange: Exchange) -> bool:
        (tmp_path / "home/.aws/credentials").unlink()
        return await error("ExpiredToken", 400)(exchange)

    async with canned(gone) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(AccessDenied, match="no usable AWS credentials"):
                await store.read("key")


async def test_a_head_that_is_refused_for_another_reason_stays_refused(
    give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    give("FIRST")
    async with canned(reply(status=400)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with open_store("s3://bucket", QUICK) as store:
            with pytest.raises(StoreRefused, match="HTTP 400"):
                await store.stat("key")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "KEY\nOTHER"),
        ("AWS_ACCESS_KEY_ID", " KEY"),
        ("AWS_ACCESS_KEY_ID", "\udcff"),
        ("AWS_SECRET_ACCESS_KEY", "canary\udcff"),
        ("AWS_SESSION_TOKEN", "token\r\nx: y"),
    ],
)
async def test_credentials_that_no_header_can_carry_are_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv(name, value)
    source = EnvironmentCredentials.find()
    assert source is not None
    with pytest.raises(AccessDenied, match="invalid AWS credentials") as caught:
        await source.credentials()
    assert value not in str(caught.value)


async def test_nor_are_those_of_a_program_that_are_no_texts(tmp_path: Path) -> None:
    file = tmp_path / "home/.aws/config"
    file.parent.mkdir(parents=True, exist_ok=True)
    printed = '{"Version": 1, "AccessKeyId": 5, "SecretAccessKey": ["canary"]}'
    file.write_text(f"[default]\ncredential_process = echo '{printed}'\n")
    with pytest.raises(AccessDenied, match="invalid AWS credentials"):
        await ChainCredentials(TARGET).credentials()


async def test_a_service_that_is_unreachable_while_credentials_are_renewed_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that was never reached is a wrong configuration."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    expiry = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")  # soon, so each look renews them
    given = f'{{"AccessKeyId": "KEY", "SecretAccessKey": "canary", "Token": "t", "Expiration": "{expiry}"}}'
    source = ChainCredentials(TARGET)
    async with canned(reply(given)) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
        assert (await source.credentials()).access_key == "KEY"
    with pytest.raises(ConnectionFailed, match="s3://bucket: no AWS credentials: the credentials of the container"):
        await source.credentials()
    with pytest.raises(AccessDenied, match="the credentials of the container"):
        await ChainCredentials(TARGET).credentials()
