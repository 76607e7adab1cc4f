"""Profiles, credentials and certificates: found where AWS's tools find them; errors name the way out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snapdir.errors import AccessDenied, InvalidOption, InvalidStore, ObjectNotFound, StoreRefused
from tests.rclone_server import RcloneServer
from tests.stores.s3.canned_server import canned, error, reply
from tests.stores.s3.conftest import CREDENTIALS, opened
from tests.stores.s3.scripted_server import CERTIFICATE, server_tls


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the two files of AWS's tools."""
    folder = tmp_path / "home" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n"
        "[team]\naws_access_key_id = TEAM\naws_secret_access_key = s\n"
    )
    (folder / "config").write_text("[default]\nregion = eu-west-1\n[profile team]\nregion = eu-west-2\n")
    return folder


def signed_by(authorization: str) -> tuple[str, str]:
    """Access key and region."""
    key, _, region, *_ = authorization.split("Credential=")[1].split("/")
    return key, region


async def test_credentials_and_region_come_from_the_profile(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with canned(reply(b"x")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        for profile in ("", "team"):
            monkeypatch.setenv("AWS_PROFILE", profile)  # an empty one is none
            async with opened("s3://bucket") as store:
                await store.stat("key")
    signatures = [signed_by(request.headers["authorization"]) for request in server.requests]
    assert signatures == [("DEFAULT", "eu-west-1"), ("TEAM", "eu-west-2")]


async def test_the_environment_comes_before_the_files(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_REGION": "eu-north-1", "AWS_CONFIG_FILE": ""}.items():
        monkeypatch.setenv(name, value)
    async with canned(reply(b"x")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened("s3://bucket") as store:
            await store.stat("key")
    assert signed_by(server.requests[0].headers["authorization"]) == ("AKIDCANARY", "eu-north-1")
    assert server.requests[0].headers["x-amz-security-token"] == "token-canary"


@pytest.mark.parametrize(
    "config",
    [
        "[default]\nendpoint_url = {url}/base\n",
        "[default]\nservices = mine\nendpoint_url = http://127.0.0.1:1\n"
        "[services mine]\ns3 =\n  endpoint_url = {url}/base\n",
    ],
)
async def test_the_endpoint_comes_from_the_profile_too(files: Path, config: str) -> None:
    async with canned(reply(b"x")) as server:
        (files / "config").write_text(config.format(url=server.url))
        async with opened("s3://bucket/p") as store:
            await store.stat("key")
    assert server.requests[0].target == "/base/bucket/p/key"


async def test_options_of_the_profile_stand(files: Path) -> None:
    async with canned(reply()) as server:
        (files / "config").write_text(
            f"[default]\nendpoint_url = {server.url}\ns3 =\n  payload_signing_enabled = true\n"
        )
        async with opened("s3://bucket") as store:
            await store.write("key", b"data")
    assert len(server.requests[0].headers["x-amz-content-sha256"]) == 64
    assert server.requests[0].body == b"data"


async def test_a_program_that_gives_credentials_is_run(files: Path) -> None:
    script = files / "give"
    script.write_text(
        f"#!{sys.executable}\n"
        'print(\'{"Version": 1, "AccessKeyId": "GIVEN", "SecretAccessKey": "s", "SessionToken": "t"}\')\n'
    )
    script.chmod(0o700)
    (files / "credentials").unlink()
    async with canned(reply(b"x")) as server:
        (files / "config").write_text(f"[default]\nendpoint_url = {server.url}\ncredential_process = {script}\n")
        async with opened("s3://bucket") as store:
            await store.stat("key")
    assert signed_by(server.requests[0].headers["authorization"])[0] == "GIVEN"


async def test_a_profile_that_does_not_exist_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InvalidOption, match=r"'nobody'.*AWS_PROFILE"):
        async with opened("s3://bucket"):
            pass


async def test_a_configuration_that_cannot_be_read_is_said_so(files: Path) -> None:
    (files / "config").write_text("no section\n")
    with pytest.raises(InvalidOption, match="AWS configuration"):
        async with opened("s3://bucket"):
            pass


async def test_without_credentials_the_error_says_how_to_give_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    async with opened("s3://bucket") as store:
        with pytest.raises(AccessDenied, match="AWS_ACCESS_KEY_ID"):
            await store.stat("key")


async def test_half_of_the_credentials_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    with pytest.raises(AccessDenied, match="AWS_SECRET_ACCESS_KEY"):
        async with opened("s3://bucket") as store:
            await store.stat("key")


async def test_a_name_no_bucket_can_have_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(InvalidStore):
        async with opened("s3://no such/bucket"):
            pass


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("ExpiredToken", "sign in again"),
        ("InvalidToken", "AWS_SESSION_TOKEN"),
        ("AccessDenied", "may read and write"),
    ],
)
async def test_each_way_to_be_denied_has_its_way_out(code: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    async with canned(error(code, 403)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        async with opened("s3://bucket") as store:
            with pytest.raises(AccessDenied, match=advice):
                await store.read("key")


async def test_wrong_credentials_are_denied_by_a_real_server(
    server: RcloneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    async with opened(f"s3://{server.bucket}") as store:
        for call in (lambda: store.stat("key"), lambda: store.read("key"), lambda: store.write("key", bytes(4 << 20))):
            with pytest.raises(AccessDenied):
                await call()


async def test_a_certificate_nobody_vouches_for_is_refused_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    async with canned(reply(status=404), tls=server_tls()) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url.replace("127.0.0.1", "localhost"))
        async with opened("s3://bucket") as store:
            with pytest.raises(StoreRefused, match="AWS_CA_BUNDLE"):
                await store.stat("key")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(CERTIFICATE))
        async with opened("s3://bucket") as store:
            with pytest.raises(ObjectNotFound):
                await store.stat("key")


def test_a_store_that_is_used_and_closed_leaves_nothing_open(server: RcloneServer) -> None:
    """In a separate process where every warning is an error, also at interpreter exit."""
    program = f"""
import asyncio
from snapdir.stores.open import open_store

async def use():
    async with open_store("s3://{server.bucket}/closing") as store:
        await store.write("key", b"data")
        assert await store.read("key") == b"data"
        task = asyncio.create_task(store.write("other", bytes(32 << 20)))
        while not task.done():
            await asyncio.sleep(0)
            if len(asyncio.all_tasks()) > 2:
                task.cancel()
        await store.begin_upload("large", size=9 << 20, part_bytes=9 << 20)

asyncio.run(use())
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "SNAPDIR_S3_TRANSPORT": "aiobotocore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
