"""An environment without anybody's AWS settings, real and pretended servers, and stores in them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from snapdir.stores.s3.aws.boto_transport import BotoTransport
from snapdir.stores.s3.aws.control import Control
from snapdir.stores.s3.credentials import EnvironmentCredentials
from snapdir.stores.s3.location import S3Target
from snapdir.stores.s3.session import WireSession
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.wire_transport import WireTransport
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL
from tests.rclone_server import RcloneServer, s3_server
from tests.stores.s3.canned_server import Answer, CannedServer, canned

__all__ = [
    "AIOBOTOCORE_ONLY",
    "CREDENTIALS",
    "IMPATIENT",
    "QUICK",
    "BorrowingTransport",
    "CannedS3",
    "borrowed",
    "opened",
    "s3_server",
]

# For what only that transport promises.
AIOBOTOCORE_ONLY = pytest.mark.parametrize("against", ["aiobotocore"], indirect=True)

# Short enough that a test of a limit is quick. What is answered in such a test has half a second on a busy machine.
QUICK = StoreSettings(connect_timeout_seconds=5.0, first_byte_timeout_seconds=10.0, stall_timeout_seconds=5.0)
IMPATIENT = replace(QUICK, first_byte_timeout_seconds=0.5, stall_timeout_seconds=0.5, max_concurrency=4)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARY",
    "AWS_SECRET_ACCESS_KEY": "secret-canary",
    "AWS_SESSION_TOKEN": "token-canary",
}


@pytest.fixture(autouse=True)
def no_settings_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor files of whoever runs the tests; no request to a metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SNAPDIR_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class BorrowingTransport(BotoTransport):
    """On a client that outlives it."""

    async def aclose(self) -> None:
        pass


def borrowed(control: Control, url: str = "s3://bucket/prefix") -> S3Store:
    """A store of its own on a client that is shared: to make one takes 0.15 s of CPU."""
    own = copy(control)
    own.target = S3Target.of(StoreURL.parse(url))._replace(endpoint=control.target.endpoint, region="us-east-1")
    return S3Store(BorrowingTransport(own), own.target)


@asynccontextmanager
async def opened(url: str, settings: StoreSettings = QUICK) -> AsyncIterator[S3Store]:
    """An S3 store on aiobotocore without the layer that retries: one request is one request."""
    control = await Control.open(S3Target.of(StoreURL.parse(url)), settings)
    store = S3Store(BotoTransport(control), control.target, max_concurrency=control.concurrency)
    try:
        yield store
    finally:
        await store.aclose()


class CannedS3:
    """One pretended server for the tests of a module, and a client for each settings; whichever transport."""

    def __init__(self, server: CannedServer, transport: str) -> None:
        self.server = server
        self.transport = transport
        self.controls: dict[StoreSettings, Control] = {}

    @asynccontextmanager
    async def __call__(
        self, *answers: Answer, settings: StoreSettings = QUICK
    ) -> AsyncIterator[tuple[S3Store, CannedServer]]:
        """A store that gets these answers, one a request; the last one again and again."""
        self.server.play(*answers)
        store = self.on_wire(settings) if self.transport == "wire" else await self.on_aiobotocore(settings)
        try:
            yield store, self.server
        finally:
            await store.aclose()
            await self.server.stop()

    def on_wire(self, settings: StoreSettings) -> S3Store:
        source = EnvironmentCredentials.find(CREDENTIALS)
        assert source is not None
        environment = {"SNAPDIR_S3_STORE_ENDPOINT_URL": self.server.url}
        target = S3Target.of(StoreURL.parse("s3://bucket/prefix"), environment).with_profile(endpoint=None, region=None)
        return S3Store(WireTransport(WireSession(target, source, settings, max_connections=8)), target)

    async def on_aiobotocore(self, settings: StoreSettings) -> S3Store:
        if settings not in self.controls:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in {**CREDENTIALS, "SNAPDIR_S3_STORE_ENDPOINT_URL": self.server.url}.items():
                    patch.setenv(name, value)
                target = S3Target.of(StoreURL.parse("s3://bucket/prefix"))
                self.controls[settings] = await Control.open(target, settings)
        return borrowed(self.controls[settings])


@pytest.fixture(scope="module", params=["aiobotocore", "wire"])
async def against(request: pytest.FixtureRequest) -> AsyncIterator[CannedS3]:
    async with canned() as server:
        pretended = CannedS3(server, request.param)
        yield pretended
        for control in pretended.controls.values():
            await control.aclose()


@pytest.fixture
def server(s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> RcloneServer:
    """The real server of the session, with the variables that lead there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
