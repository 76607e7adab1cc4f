"""A URL becomes an open store, and only what that store needs is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from snapdir import push
from snapdir.errors import InvalidOption, InvalidStore, SnapdirError
from snapdir.stores.file.store import FileStore
from snapdir.stores.open import open_store
from snapdir.stores.remote import RemoteStore
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL


@pytest.mark.parametrize("spelled", ["{path}", "file://{path}", "file:{path}"])
async def test_a_folder_is_a_store(tmp_path: Path, spelled: str) -> None:
    async with open_store(spelled.format(path=tmp_path / "store")) as store:
        assert isinstance(store, FileStore)
        await store.write("key", b"data")
    assert (tmp_path / "store" / "key").read_bytes() == b"data"


async def test_a_parsed_url_will_do(tmp_path: Path) -> None:
    async with open_store(StoreURL("file", str(tmp_path)), StoreSettings(fsync=False)) as store:
        assert store.local_path("key") == tmp_path / "key"


@pytest.mark.parametrize("store", [["./store"], b"./store", 3])
async def test_a_store_must_be_text_or_a_path(store: Any) -> None:
    with pytest.raises(TypeError, match=f"^store is a str or a path, not {type(store).__name__}$"):
        await push(".", store)


async def test_a_push_needs_a_store() -> None:
    with pytest.raises(SnapdirError, match="no store configured"):
        await push(".", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["s3", "b2"])
async def test_a_bucket_is_a_store_that_retries(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "word")
    async with open_store(f"{scheme}://bucket/prefix") as store:
        assert isinstance(store, RemoteStore)
        assert store.url == f"{scheme}://bucket/prefix"
        assert store.capabilities.part_size_range == (5 << 20, 5 << 30)
        assert store.capabilities.max_parts == 10_000


@pytest.mark.parametrize("url", ["gs://bucket/p"])
def test_a_scheme_of_a_later_release_is_refused(url: str) -> None:
    with pytest.raises(InvalidStore, match=r"this release cannot open \w+:// stores yet"):
        open_store(url)


@pytest.mark.parametrize("url", ["dav://host/p", "memory://name", "ssh://host/p"])
def test_an_unknown_scheme_names_the_program_that_would_be_needed(url: str) -> None:
    with pytest.raises(InvalidStore, match=f"snapdir-{url.partition(':')[0]}-store"):
        open_store(url)


@pytest.mark.parametrize("url", ["", "bucket", "s3:bucket", "s3://", "S3://bucket", "s3://no bucket/p"])
async def test_a_malformed_store_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidStore):
        async with open_store(url):
            pass


async def test_a_bad_endpoint_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(InvalidOption, match="SNAPDIR_S3_STORE_ENDPOINT_URL"):
        async with open_store("s3://bucket"):
            pass


def test_importing_open_loads_no_library_of_a_store() -> None:
    program = "import sys, snapdir.stores.open; print(sorted({'botocore', 'snapdir.stores.s3'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.parametrize(("endpoint", "encrypted"), [("http://127.0.0.1:9", False), ("https://127.0.0.1:9", True)])
async def test_a_store_says_whether_its_bodies_are_decrypted_here(
    endpoint: str, encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with open_store("s3://bucket/prefix", StoreSettings()) as store:
        assert store.capabilities.encrypted == encrypted
