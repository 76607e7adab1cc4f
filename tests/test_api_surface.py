"""Names, arguments and types of the Python API beyond the checklist of ``tests/conformance/test_python.py``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import snapdir
from snapdir.config import Config

COROUTINES = ("manifest", "id", "stage", "push", "fetch", "pull", "checkout", "sync", "diff", "verify", "size")
TYPES = ("SnapshotId", "StoreUri", "Manifest", "ManifestEntry", "PathType", "DiffEntry", "DiffOptions", "SizeStats")
ERRORS = ("SnapdirError", "HashMismatchError", "StoreError", "InFluxError", "CatalogError")
is_hex64 = re.compile(r"[0-9a-f]{64}").fullmatch


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "nested").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "empty").touch()
    return root


def test_every_public_name_is_there() -> None:
    expected = {*COROUTINES, *TYPES, *ERRORS, "id_from_manifest", "manifest_size", "version"}
    assert expected <= set(snapdir.__all__)
    assert all(hasattr(snapdir, name) for name in snapdir.__all__)


@pytest.mark.parametrize("name", COROUTINES)
def test_functions_that_do_io_are_coroutine_functions(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(snapdir, name))


def test_no_module_hides_the_name_it_shares() -> None:
    # Importing snapdir.status would put the module where snapdir keeps the function.
    modules = {file.stem for file in Path(snapdir.__file__).parent.iterdir()}
    assert not modules & set(snapdir.__all__)


async def test_an_entry_has_typed_fields(tree: Path) -> None:
    by_path = {entry.path: entry for entry in (await snapdir.manifest(tree)).entries}
    assert by_path["./file"].path_type is snapdir.PathType.File
    assert (str(snapdir.PathType.File), repr(snapdir.PathType.File)) == ("File", "PathType.File")
    assert by_path["./nested/"].path_type is snapdir.PathType.Directory
    assert by_path["./file"].permissions == (tree / "file").stat().st_mode & 0o7777
    assert by_path["./empty"].size == 0
    for entry in by_path.values():
        assert is_hex64(entry.checksum)
        assert type(entry.size) is int


def test_an_id_is_64_hex_digits_of_any_case() -> None:
    assert str(snapdir.SnapshotId("AB" * 32)) == "ab" * 32
    assert repr(snapdir.SnapshotId("ab" * 32)) == f'SnapshotId("{"ab" * 32}")'


def test_a_store_uri_may_be_a_path() -> None:
    assert str(snapdir.StoreUri("/no/scheme")) == "/no/scheme"


@pytest.mark.parametrize("text", ["http://host/x", "FILE:///x", "s3:/x", "://x", ""])
def test_a_store_uri_needs_a_known_scheme(text: str) -> None:
    with pytest.raises(snapdir.SnapdirError) as failed:
        snapdir.StoreUri(text)
    assert failed.value.code == "INVALID_STORE"


async def test_diff_tells_added_deleted_and_modified(tmp_path: Path, tree: Path) -> None:
    stores = [f"file://{tmp_path / name}" for name in ("before", "after")]
    (tree / "gone").write_text("x")
    await snapdir.push(tree, snapdir.StoreUri(stores[0]))
    (tree / "gone").unlink()
    (tree / "file").write_text("changed")
    (tree / "new").write_text("y")
    await snapdir.push(tree, snapdir.StoreUri(stores[1]))
    entries = await snapdir.diff(snapdir.DiffOptions.from_refs([stores[0]], [stores[1]]))
    assert [(entry.status, entry.path) for entry in entries] == [("M", "./file"), ("D", "./gone"), ("A", "./new")]
    assert repr(entries[0]) == 'DiffEntry(status="M", path="./file")'


async def test_stage_checkout_fetch_and_sync_share_the_names(tmp_path: Path, tree: Path) -> None:
    config = Config(cache_dir=tmp_path / "own")
    staged = await snapdir.stage(path=tree, config=config)
    await snapdir.checkout(snapshot_id=staged, dest=tmp_path / "out", config=config)
    assert await snapdir.id(tmp_path / "out") == staged
    first, second = f"file://{tmp_path}/first", f"file://{tmp_path}/second"
    pushed = await snapdir.push(path=tree, store=first)
    assert await snapdir.verify(pushed, first) is True
    await snapdir.sync(snapshot_id=staged, src=first, dst=second)
    await snapdir.fetch(snapshot_id=staged, store=second)
    await snapdir.checkout(staged, tmp_path / "again")
    assert await snapdir.id(tmp_path / "again") == staged


async def test_size_counts_files_and_distinct_objects(tmp_path: Path, tree: Path) -> None:
    (tree / "empty").unlink()
    (tree / "copy").write_text("content")
    store = f"file://{tmp_path}/store"
    pushed = await snapdir.push(tree, store)
    for size in (await snapdir.size(store), await snapdir.size(store, id=pushed)):
        assert (size.files, size.objects, size.logical_bytes, size.physical_bytes) == (2, 1, 14, 7)
        assert snapdir.manifest_size(await snapdir.manifest(tree)) == size


@pytest.mark.parametrize("call", [snapdir.manifest, snapdir.id])
async def test_a_bad_exclude_is_an_error(call: Callable[..., Awaitable[object]], tree: Path) -> None:
    with pytest.raises(snapdir.SnapdirError, match="exclude") as failed:
        await call(tree, exclude=["("])
    assert failed.value.code == "IO_ERROR"
