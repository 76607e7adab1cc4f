"""An environment without anybody's AWS settings, a real server, and stores in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.rclone_server import RcloneServer, s3_server

from snapdir.stores.s3.boto_transport import BotoTransport
from snapdir.stores.s3.control import Control
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

__all__ = ["s3_server"]

# Short enough that a test of a limit is quick, long enough for a busy machine.
QUICK = StoreSettings(connect_timeout_seconds=2.0, first_byte_timeout_seconds=5.0, stall_timeout_seconds=2.0)

OpenStore = Callable[..., AbstractAsyncContextManager[S3Store]]


@pytest.fixture(autouse=True)
def no_settings_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor files of whoever runs the tests; no request to a metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SNAPDIR_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def opened(url: str, settings: StoreSettings = QUICK) -> AsyncIterator[S3Store]:
    """An S3 store on aiobotocore without the layer that retries: one request is one request."""
    control = await Control.open(S3Target.of(StoreURL.parse(url)), settings)
    store = S3Store(BotoTransport(control), control.target, max_concurrency=control.concurrency)
    try:
        yield store
    finally:
        await store.aclose()


@pytest.fixture
def server(s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> RcloneServer:
    """The server of the session, with the variables that lead there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def open_store() -> OpenStore:
    return opened
