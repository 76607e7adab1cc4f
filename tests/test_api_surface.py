"""The Python API is a drop-in for the reference's binding: names, arguments, types, codes (checklist PY-01..32)."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import crc32c  # noqa: F401  # it reads its own version from a file when first imported, here before any loop runs
import pytest

import snapdir
from snapdir.config import Config

CODES = {
    "IO_ERROR", "HASH_MISMATCH", "STORE_ERROR", "IN_FLUX", "CATALOG_ERROR", "INVALID_ID", "INVALID_STORE", "CONFLICT",
}  # fmt: skip
COROUTINES = ("manifest", "id", "stage", "push", "fetch", "pull", "checkout", "sync", "diff", "verify", "size")
TYPES = ("SnapshotId", "StoreUri", "Manifest", "ManifestEntry", "PathType", "DiffEntry", "DiffOptions", "SizeStats")
ERRORS = ("SnapdirError", "HashMismatchError", "StoreError", "InFluxError", "CatalogError")
is_hex64 = re.compile(r"[0-9a-f]{64}").fullmatch


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two levels, an empty file, files an exclude can name, and links of both kinds."""
    root = tmp_path / "tree"
    (root / "nested").mkdir(parents=True)
    (root / "keep.txt").write_text("keep")
    (root / "drop.tmp").write_text("drop")
    (root / "drop.log").write_text("log")
    (root / "empty").touch()
    (root / "nested" / "inner.txt").write_text("inner")
    (root / "link_to_file").symlink_to("keep.txt")
    (root / "link_to_dir").symlink_to("nested")
    return root


@pytest.fixture
def other(tmp_path: Path) -> Path:
    root = tmp_path / "other"
    root.mkdir()
    (root / "file").write_text("other")
    return root


def paths(manifest: snapdir.Manifest) -> set[str]:
    return {entry.path for entry in manifest.entries}


def test_calling_a_function_runs_nothing_and_needs_no_loop(tree: Path) -> None:  # PY-01
    waiting = snapdir.manifest(tree)
    assert inspect.isawaitable(waiting)
    waiting.close()


@pytest.mark.parametrize("name", COROUTINES)
def test_what_does_io_is_a_coroutine_function(name: str) -> None:  # PY-02
    assert inspect.iscoroutinefunction(getattr(snapdir, name))


async def test_awaiting_gives_a_manifest_and_an_id(tree: Path) -> None:  # PY-03
    assert isinstance(await snapdir.manifest(tree), snapdir.Manifest)
    identifier = await snapdir.id(tree)
    assert isinstance(identifier, str)
    assert is_hex64(identifier)


async def test_manifests_and_ids_run_side_by_side(tree: Path, other: Path) -> None:  # PY-04, PY-25
    first, second, first_id, second_id = await asyncio.gather(
        snapdir.manifest(tree), snapdir.manifest(other), snapdir.id(tree), snapdir.id(other)
    )
    assert (first_id, second_id) == (snapdir.id_from_manifest(first), snapdir.id_from_manifest(second))


async def test_many_manifests_of_one_tree_agree(tree: Path) -> None:  # PY-05
    found = await asyncio.gather(*[snapdir.manifest(tree) for _ in range(8)])
    assert len({snapdir.id_from_manifest(manifest) for manifest in found}) == 1


def test_an_id_comes_from_a_manifest_without_a_loop(tree: Path) -> None:  # PY-06
    identifier = snapdir.id_from_manifest(asyncio.run(snapdir.manifest(tree)))
    assert isinstance(identifier, str)
    assert is_hex64(identifier)


async def test_str_and_path_are_the_same(tree: Path) -> None:  # PY-07
    assert await snapdir.id(str(tree)) == await snapdir.id(tree)
    assert (await snapdir.manifest(str(tree))).raw == (await snapdir.manifest(tree)).raw


async def test_a_manifest_has_entries_and_text(tree: Path) -> None:  # PY-08
    manifest = await snapdir.manifest(tree)
    assert manifest.raw
    assert not manifest.raw.endswith("\n")
    for entry in manifest.entries:
        assert isinstance(entry, snapdir.ManifestEntry)
        for field in ("path", "path_type", "permissions", "checksum", "size"):
            assert getattr(entry, field) is not None
        with pytest.raises(TypeError):
            entry["path"]


async def test_an_entry_has_typed_fields(tree: Path) -> None:  # PY-09, PY-10
    by_path = {entry.path: entry for entry in (await snapdir.manifest(tree)).entries}
    assert by_path["./keep.txt"].path_type is snapdir.PathType.File
    assert (str(snapdir.PathType.File), repr(snapdir.PathType.File)) == ("File", "PathType.File")
    assert by_path["./nested/"].path_type is snapdir.PathType.Directory
    assert by_path["./keep.txt"].permissions == (tree / "keep.txt").stat().st_mode & 0o7777
    assert by_path["./empty"].size == 0
    for entry in by_path.values():
        assert is_hex64(entry.checksum)
        assert type(entry.size) is int


async def test_diff_takes_directories_that_hold_no_snapshot(tmp_path: Path) -> None:  # PY-11
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    refs = [[snapdir.StoreUri(f"file://{tmp_path / name}")] for name in ("a", "b")]
    assert await snapdir.diff(snapdir.DiffOptions.from_refs(*refs)) == []


async def test_diff_tells_what_was_added_deleted_and_modified(tmp_path: Path, other: Path) -> None:  # PY-11
    stores = [f"file://{tmp_path / name}" for name in ("before", "after")]
    (other / "gone").write_text("x")
    await snapdir.push(other, snapdir.StoreUri(stores[0]))
    (other / "gone").unlink()
    (other / "file").write_text("changed")
    (other / "new").write_text("y")
    await snapdir.push(other, snapdir.StoreUri(stores[1]))
    found = await snapdir.diff(snapdir.DiffOptions.from_refs([stores[0]], [stores[1]]))
    assert [(entry.status, entry.path) for entry in found] == [("M", "./file"), ("D", "./gone"), ("A", "./new")]
    assert repr(found[0]) == 'DiffEntry(status="M", path="./file")'


async def test_ids_are_stable_and_distinct(tree: Path, other: Path) -> None:  # PY-12, PY-13, PY-14
    assert await snapdir.id(tree) == await snapdir.id(tree)
    assert await snapdir.id(tree) != await snapdir.id(other)


def test_errors_have_one_root() -> None:  # PY-15, PY-16
    assert issubclass(snapdir.SnapdirError, Exception)
    for name in ERRORS:
        assert issubclass(getattr(snapdir, name), snapdir.SnapdirError)


async def test_a_missing_path_is_an_io_error_that_names_it() -> None:  # PY-17
    with pytest.raises(snapdir.SnapdirError, match="/no/such/path") as failed:
        await snapdir.manifest("/no/such/path")
    assert failed.value.code == "IO_ERROR"


async def test_the_root_catches_every_error(tmp_path: Path) -> None:  # PY-18
    with pytest.raises(snapdir.SnapdirError) as failed:
        await snapdir.verify("0" * 64, snapdir.StoreUri(f"file://{tmp_path}/missing"))
    assert failed.value.code in CODES


def test_an_id_is_64_hex_digits_of_any_case() -> None:  # PY-19
    with pytest.raises(snapdir.SnapdirError) as failed:
        snapdir.SnapshotId("not-hex")
    assert failed.value.code == "INVALID_ID"
    assert str(snapdir.SnapshotId("AB" * 32)) == "ab" * 32
    assert repr(snapdir.SnapshotId("ab" * 32)) == f'SnapshotId("{"ab" * 32}")'


@pytest.mark.parametrize("text", ["/no/scheme", "http://host/x", "FILE:///x", "s3:/x", "://x", ""])
def test_a_store_uri_needs_a_known_scheme(text: str) -> None:  # section 6.2
    if text.startswith("/"):
        assert str(snapdir.StoreUri(text))  # ours: a bare path is a file store
        return
    with pytest.raises(snapdir.SnapdirError) as failed:
        snapdir.StoreUri(text)
    assert failed.value.code == "INVALID_STORE"


def test_the_package_knows_its_place_and_version() -> None:  # PY-20, PY-21
    assert snapdir.__file__
    assert snapdir.version()


def test_every_public_name_is_there() -> None:  # PY-22
    expected = {*COROUTINES, *TYPES, *ERRORS, "id_from_manifest", "manifest_size", "version"}
    assert expected <= set(snapdir.__all__)
    assert all(hasattr(snapdir, name) for name in snapdir.__all__)


def test_diff_options_come_from_refs() -> None:  # PY-23
    assert snapdir.DiffOptions.from_refs([], [])
    assert not hasattr(snapdir.DiffOptions, "from")


async def test_the_loop_runs_while_a_tree_is_read(tmp_path: Path) -> None:  # PY-24
    for number in range(5000):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    manifest = await snapdir.manifest(tmp_path)
    ticking.cancel()
    assert len(manifest.entries) >= 5000
    assert ticks > 10


async def test_a_pushed_tree_comes_back_into_an_existing_directory(tmp_path: Path, other: Path) -> None:  # PY-26
    store = snapdir.StoreUri(f"file://{tmp_path}/store")
    pushed = await snapdir.push(other, store)
    assert pushed == await snapdir.id(other)
    destination = tmp_path / "destination"
    destination.mkdir(mode=0o700)
    await snapdir.pull(snapdir.SnapshotId(pushed), store, destination)
    assert await snapdir.id(destination) == pushed
    assert await snapdir.verify(pushed, store) is True


async def test_stage_checkout_fetch_and_sync_share_the_names(tmp_path: Path, other: Path) -> None:  # section 6.1
    config = Config(cache_dir=tmp_path / "own")
    staged = await snapdir.stage(path=other, config=config)
    await snapdir.checkout(snapshot_id=staged, dest=tmp_path / "out", config=config)
    assert await snapdir.id(tmp_path / "out") == staged
    first, second = f"file://{tmp_path}/first", f"file://{tmp_path}/second"
    await snapdir.push(path=other, store=first)
    await snapdir.sync(snapshot_id=staged, src=first, dst=second)
    await snapdir.fetch(snapshot_id=staged, store=second)
    await snapdir.checkout(staged, tmp_path / "again")
    assert await snapdir.id(tmp_path / "again") == staged


async def test_size_counts_files_and_distinct_objects(tmp_path: Path, other: Path) -> None:  # section 6.1
    (other / "copy").write_text("other")
    store = f"file://{tmp_path}/store"
    pushed = await snapdir.push(other, store)
    for found in (await snapdir.size(store), await snapdir.size(store, id=pushed)):
        assert (found.files, found.objects, found.logical_bytes, found.physical_bytes) == (2, 1, 10, 5)
    assert snapdir.manifest_size(await snapdir.manifest(other)) == found


async def test_no_follow_leaves_links_out(tree: Path) -> None:  # PY-27, PY-30
    followed, plain = await snapdir.manifest(tree), await snapdir.manifest(tree, no_follow=True)
    assert paths(followed) - paths(plain) == {"./link_to_file", "./link_to_dir/", "./link_to_dir/inner.txt"}
    assert await snapdir.id(tree) != await snapdir.id(tree, no_follow=True)


@pytest.mark.parametrize("options", [{"no_follow": False}, {"exclude": []}, {"exclude": None}, {"absolute": False}])
async def test_defaults_can_be_written_out(options: dict[str, Any], tree: Path) -> None:  # PY-28
    assert (await snapdir.manifest(tree, **options)).raw == (await snapdir.manifest(tree)).raw
    assert await snapdir.id(tree, **options) == await snapdir.id(tree)


@pytest.mark.parametrize(
    ("no_follow", "absolute", "exclude"), list(product([False, True], [False, True], [None, [r"\.tmp$"]]))
)
async def test_id_and_manifest_agree(no_follow: bool, absolute: bool, exclude: list[str] | None, tree: Path) -> None:
    options: dict[str, Any] = {"no_follow": no_follow, "absolute": absolute, "exclude": exclude}  # PY-29
    manifest = await snapdir.manifest(tree, **options)
    assert await snapdir.id(tree, **options) == snapdir.id_from_manifest(manifest)
    assert ("drop.tmp" in manifest.raw) == (exclude is None)


async def test_absolute_changes_how_paths_are_written_and_nothing_else(tree: Path) -> None:  # PY-31
    relative, absolute = await snapdir.manifest(tree), await snapdir.manifest(tree, absolute=True)
    assert str(tree) not in relative.raw
    assert absolute.entries[0].path == f"{tree}/"
    assert [e._replace(path="") for e in absolute.entries] == [e._replace(path="") for e in relative.entries]


@pytest.mark.parametrize(
    ("exclude", "gone"),
    [
        ([r"\.tmp$"], {"./drop.tmp"}),
        ([r"\.tmp$", r"\.log$"], {"./drop.tmp", "./drop.log"}),
        ([r"\.(tmp|log)$"], {"./drop.tmp", "./drop.log"}),
        (["drop|/keep"], {"./drop.tmp", "./drop.log", "./keep.txt"}),
        (["nested/inner"], {"./nested/inner.txt"}),
        (["./nested$"], {"./nested/"}),
    ],
)
async def test_exclude_searches_every_pattern(exclude: list[str], gone: set[str], tree: Path) -> None:  # PY-32
    left = await snapdir.manifest(tree, exclude=exclude)
    dropped = paths(await snapdir.manifest(tree)) - paths(left)
    assert gone <= dropped
    assert {path for path in dropped - gone if not path.startswith("./nested/")} == set()


@pytest.mark.parametrize("call", [snapdir.manifest, snapdir.id])
async def test_a_bad_exclude_is_an_error(call: Callable[..., Awaitable[object]], tree: Path) -> None:  # section 6.3
    with pytest.raises(snapdir.SnapdirError, match="exclude") as failed:
        await call(tree, exclude=["("])
    assert failed.value.code == "IO_ERROR"


def test_no_module_hides_the_name_it_shares() -> None:
    # Importing snapdir.status would put the module where snapdir keeps the function.
    modules = {file.stem for file in Path(snapdir.__file__).parent.iterdir()}
    assert not modules & set(snapdir.__all__)
