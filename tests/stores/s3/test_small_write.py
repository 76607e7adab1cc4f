"""The amount of code that a small write runs on an open connection, as for every object of a push of small files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

import snapdir
from snapdir.hashing.tree import digest_of
from snapdir.repository.repository import Repository
from snapdir.stores.open import open_store

from .canned_server import canned, reply
from .conftest import CREDENTIALS, QUICK

SOURCE = Path(snapdir.__file__).parent
MAX_MODULES = 13
"""Repository, layout of keys, limits and retries (five), and what S3 itself takes (six)."""
DATA = b"a small file"


async def test_one_small_write_passes_few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(SOURCE):
            passed.append(file.relative_to(SOURCE).as_posix())

    async with canned(reply()) as server:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        async with open_store("s3://bucket/prefix", QUICK) as store:
            repository = Repository(store)
            digest = digest_of(DATA)
            await repository.write_object(digest, DATA)
            sys.setprofile(record)
            try:
                await repository.write_object(digest, DATA)
            finally:
                sys.setprofile(None)
    assert len(server.requests) == 2
    of_s3 = {name for name in passed if name.startswith("stores/s3/")}
    assert of_s3 == {
        "stores/s3/store.py",
        "stores/s3/client.py",
        "stores/s3/signing.py",
        "stores/s3/http/pool.py",
        "stores/s3/http/connection.py",
        "stores/s3/http/responses.py",
    }
    assert len(set(passed)) <= MAX_MODULES
