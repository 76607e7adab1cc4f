"""Every local store, and the wrapper that injects faults, passes the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from snapdir.stores.base import Store
from snapdir.stores.file.store import FileStore
from snapdir.stores.memory import MemoryStore
from snapdir.stores.rate import AdaptiveRate, RateLimit
from snapdir.stores.remote import RemoteStore
from snapdir.stores.settings import StoreSettings
from snapdir.testing.contract import StoreContract
from snapdir.testing.faults import FaultyStore
from tests.unsorted import by_hash

pytestmark = pytest.mark.usefixtures("open_descriptors")


class InMemory(StoreContract):
    objects: dict[str, bytes]

    def put_behind(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def get_behind(self, key: str) -> bytes | None:
        return self.objects.get(key)


class TestMemoryStore(InMemory):
    @pytest.fixture
    def store(self) -> Store:
        self.objects = {}
        return MemoryStore(self.objects)


class TestStoreThatListsByHash(InMemory):
    @pytest.fixture
    def store(self) -> Store:
        self.objects = {}
        return MemoryStore(self.objects, listed_by=by_hash)


class TestFaultyStoreWithoutFaults(InMemory):
    @pytest.fixture
    def store(self) -> Store:
        self.objects = {}
        return FaultyStore(MemoryStore(self.objects))


class TestRemoteStore(InMemory):
    @pytest.fixture
    def store(self) -> Store:
        self.objects = {}
        inner = MemoryStore(self.objects, listed_by=by_hash)
        return RemoteStore(inner, rate=AdaptiveRate(1e9), byte_rate=RateLimit(1 << 40))


class InDirectory(StoreContract):
    settings = StoreSettings(fsync=False)
    root: Path

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        self.root = tmp_path / "store"
        self.root.mkdir()
        store = FileStore(self.root, self.settings)
        yield store
        await store.aclose()

    def put_behind(self, key: str, data: bytes) -> None:
        file = self.root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def get_behind(self, key: str) -> bytes | None:
        file = self.root / key
        return file.read_bytes() if file.is_file() else None

    def missing_store(self) -> Store | None:
        return FileStore(Path("/nonexistent/store"))


class TestFileStore(InDirectory):
    pass


class TestFileStoreThatVerifiesAndDoesNotClone(InDirectory):
    settings = StoreSettings(fsync=False, clone=False, verify_copies=True)
