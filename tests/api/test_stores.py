"""The stores of one call are parsed and opened once, even if a snapshot is named by its first digits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
import snapdir.stores.open
from snapdir.config import Config
from snapdir.stores.base import Store
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

VERBS = ("push", "push_cached", "fetch", "pull", "pull with cache", "verify", "open_snapshot", "size")


@pytest.fixture
async def calls(tmp_path: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    """Calls that name a store, and a snapshot by its first digits."""
    tree, store = tmp_path / "tree", f"file://{tmp_path}/store"
    tree.mkdir()
    (tree / "file").write_text("content")
    config = Config(cache_dir=tmp_path / "cache")
    digits = (await snapdir.push(tree, store, config=config))[:12]
    await snapdir.stage(tree, config=config)
    return {
        "push": partial(snapdir.push, tree, store, config=config),
        "push_cached": partial(snapdir.push_cached, digits, store, config=config),
        "fetch": partial(snapdir.fetch, digits, store, config=config),
        "pull": partial(snapdir.pull, digits, store, tmp_path / "out", config=config),
        "pull with cache": partial(snapdir.pull, digits, store, tmp_path / "out", use_cache=True, config=config),
        "verify": partial(snapdir.verify, digits, store, config=config),
        "open_snapshot": partial(snapdir.open_snapshot, digits, store, config=config),
        "size": partial(snapdir.size, store, digits, config=config),
    }


@pytest.mark.parametrize("verb", VERBS)
async def test_a_store_is_parsed_and_opened_once(
    verb: str, calls: dict[str, Callable[[], Awaitable[object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    opened: list[StoreURL | str] = []
    parse, open_store = StoreURL.parse, snapdir.stores.open.open_store

    def parse_and_note(text: str) -> StoreURL:
        parsed.append(text)
        return parse(text)

    def open_and_note(url: str | StoreURL, settings: StoreSettings | None = None) -> AbstractAsyncContextManager[Store]:
        opened.append(url)
        return open_store(url, settings)

    monkeypatch.setattr(StoreURL, "parse", parse_and_note)
    monkeypatch.setattr(snapdir.stores.open, "open_store", open_and_note)
    await calls[verb]()
    store = StoreURL("file", f"{tmp_path}/store")
    assert parsed == [str(store)]
    assert opened.count(store) == 1
