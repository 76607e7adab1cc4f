"""PY: the Python interface is that of the existing binding."""

from __future__ import annotations

import asyncio
import inspect
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import snapdir
from tests.conformance.harness import NO_ID, case, plant
from tests.conformance.trees import TA, TC

CODES = [
    "IO_ERROR", "HASH_MISMATCH", "STORE_ERROR", "IN_FLUX", "CATALOG_ERROR", "INVALID_ID", "INVALID_STORE",
    "CONFLICT",
]  # fmt: skip
NAMES = [
    "manifest", "id", "stage", "push", "fetch", "pull", "checkout", "sync", "diff", "verify",
    "id_from_manifest", "version", "Manifest", "ManifestEntry", "DiffEntry", "SnapshotId", "StoreUri",
    "DiffOptions", "SnapdirError", "HashMismatchError", "StoreError", "InFluxError", "CatalogError",
]  # fmt: skip
OPTIONS = [
    {"no_follow": no_follow, "absolute": absolute, "exclude": exclude}
    for no_follow, absolute, exclude in product([False, True], [False, True], [None, [r"\.tmp$"]])
]
is_id = re.compile(r"[0-9a-f]{64}").fullmatch


@pytest.fixture
def a(place: Path) -> Path:
    return plant(place / "a", TA)


@pytest.fixture
def b(place: Path) -> Path:
    return plant(place / "b", TC)


@pytest.fixture
def links(place: Path) -> Path:
    """Files and directories, links to both, and names for excludes."""
    planted = {"real/inner.txt": "inner", "target.txt": "target", "drop.tmp": "tmp", "keep.log": "log"}
    tree = plant(place / "l", planted)
    (tree / "link_to_dir").symlink_to("real")
    (tree / "link_to_file").symlink_to("target.txt")
    return tree


async def paths(tree: Path, **options: Any) -> set[str]:
    return {entry.path for entry in (await snapdir.manifest(tree, **options)).entries}


@case("PY-01")
def test_a_call_without_a_loop_is_not_started(a: Path) -> None:
    waiting = snapdir.manifest(a)
    assert inspect.isawaitable(waiting)
    assert not isinstance(waiting, snapdir.Manifest)
    waiting.close()


@case("PY-02")
@pytest.mark.parametrize("name", ["push", "fetch", "pull", "checkout", "sync", "diff", "verify"])
def test_every_verb_is_a_callable(name: str) -> None:
    assert callable(getattr(snapdir, name))


@case("PY-03")
async def test_awaiting_returns_a_manifest_and_an_id(a: Path) -> None:
    assert isinstance(await snapdir.manifest(a), snapdir.Manifest)
    assert is_id(await snapdir.id(a))


@case("PY-04", "PY-25")
async def test_calls_run_concurrently(a: Path, b: Path) -> None:
    for _ in range(2):
        calls = snapdir.manifest(a), snapdir.manifest(b), snapdir.id(a), snapdir.id(b)
        first, second, first_id, second_id = await asyncio.gather(*calls)
        assert snapdir.id_from_manifest(first) == first_id
        assert snapdir.id_from_manifest(second) == second_id


@case("PY-05")
async def test_eight_concurrent_calls_agree(a: Path) -> None:
    found = await asyncio.gather(*[snapdir.manifest(a) for _ in range(8)])
    assert len(found) == 8
    assert len({snapdir.id_from_manifest(manifest) for manifest in found}) == 1


@case("PY-06")
def test_an_id_is_computed_without_a_loop(a: Path) -> None:
    assert is_id(snapdir.id_from_manifest(asyncio.run(snapdir.manifest(a))))


@case("PY-07")
async def test_a_path_may_be_text(a: Path) -> None:
    assert await snapdir.id(str(a)) == await snapdir.id(a)
    assert (await snapdir.manifest(str(a))).raw == (await snapdir.manifest(a)).raw


@case("PY-08")
async def test_a_manifest_has_entries_and_text(a: Path) -> None:
    manifest = await snapdir.manifest(a)
    assert isinstance(manifest.raw, str)
    assert len(manifest.raw.splitlines()) == len(manifest.entries) == 5
    for entry in manifest.entries:
        assert all(hasattr(entry, name) for name in ("path", "path_type", "permissions", "checksum", "size"))
        with pytest.raises(TypeError):
            entry["path"]


@case("PY-09")
async def test_an_entry_knows_its_type_and_checksum(a: Path) -> None:
    for entry in (await snapdir.manifest(a)).entries:
        assert entry.path_type.name.lower().startswith("d" if entry.path.endswith("/") else "f")
        assert is_id(entry.checksum)


@case("PY-10")
async def test_a_size_is_a_whole_number(a: Path) -> None:
    sizes = {entry.path: entry.size for entry in (await snapdir.manifest(a)).entries}
    assert {type(size) for size in sizes.values()} == {int}
    assert sizes["./empty.txt"] == 0
    assert sizes["./"] == sizes["./hello.txt"] + sizes["./nested/"]


@case("PY-11")
async def test_diff_of_plain_directories_is_a_list(a: Path, b: Path) -> None:
    refs = [[snapdir.StoreUri(f"file://{tree}")] for tree in (a, b)]
    found = await snapdir.diff(snapdir.DiffOptions.from_refs(*refs))
    assert isinstance(found, list)
    assert all(entry.status in "ADM=" and entry.path for entry in found)


@case("PY-12")
async def test_both_ways_to_an_id_agree(a: Path) -> None:
    assert await snapdir.id(a) == snapdir.id_from_manifest(await snapdir.manifest(a))


@case("PY-13")
async def test_different_trees_have_different_ids(a: Path, b: Path) -> None:
    assert await snapdir.id(a) != await snapdir.id(b)


@case("PY-14")
async def test_an_id_is_stable(a: Path) -> None:
    assert await snapdir.id(a) == await snapdir.id(a)


@case("PY-15")
def test_errors_are_exceptions() -> None:
    assert issubclass(snapdir.SnapdirError, Exception)


@case("PY-16")
@pytest.mark.parametrize("name", ["HashMismatchError", "StoreError", "InFluxError", "CatalogError"])
def test_errors_have_one_root(name: str) -> None:
    assert issubclass(getattr(snapdir, name), snapdir.SnapdirError)


@case("PY-17")
async def test_a_missing_path_is_an_io_error() -> None:
    with pytest.raises(snapdir.SnapdirError) as failed:
        await snapdir.manifest("/no/such")
    assert failed.value.code == "IO_ERROR"


@case("PY-18")
async def test_verify_takes_an_id_as_text_and_the_root_catches_its_error(place: Path) -> None:
    with pytest.raises(snapdir.SnapdirError) as failed:
        await snapdir.verify(NO_ID, snapdir.StoreUri(f"file://{place}/missing"))
    assert failed.value.code in CODES


@case("PY-19")
def test_an_invalid_id_is_refused() -> None:
    with pytest.raises(snapdir.SnapdirError) as failed:
        snapdir.SnapshotId("not-hex")
    assert failed.value.code == "INVALID_ID"


@case("PY-20")
def test_the_package_can_be_imported() -> None:
    assert snapdir.__file__


@case("PY-21")
def test_the_package_has_a_version() -> None:
    assert isinstance(snapdir.version(), str)
    assert snapdir.version()


@case("PY-22")
@pytest.mark.parametrize("name", NAMES)
def test_the_public_names_exist(name: str) -> None:
    assert hasattr(snapdir, name)


@case("PY-23")
def test_diff_options_are_made_from_refs() -> None:
    assert snapdir.DiffOptions.from_refs([], [])
    assert not hasattr(snapdir.DiffOptions, "from")


@case("PY-24")
async def test_the_loop_keeps_running_while_a_tree_is_read(place: Path) -> None:
    tree = plant(place / "many", {f"{number}": b"x" for number in range(5000)})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    manifest = await snapdir.manifest(tree)
    ticking.cancel()
    assert len(manifest.entries) >= 5000
    assert ticks > 10


@case("PY-26")
async def test_a_pushed_tree_is_pulled_unchanged(a: Path, store: str, dest: Path) -> None:
    pushed = await snapdir.push(a, snapdir.StoreUri(store))
    assert pushed == await snapdir.id(a)
    dest.mkdir(mode=0o700)
    await snapdir.pull(snapdir.SnapshotId(pushed), snapdir.StoreUri(store), dest)
    assert await snapdir.id(dest) == pushed


@case("PY-27")
async def test_links_may_be_left_out(links: Path) -> None:
    assert (await snapdir.manifest(links, no_follow=True)).raw != (await snapdir.manifest(links)).raw
    assert await snapdir.id(links, no_follow=True) != await snapdir.id(links)


@case("PY-28")
@pytest.mark.parametrize("options", [{"no_follow": False}, {"exclude": []}, {"exclude": None}, {"absolute": False}])
async def test_defaults_may_be_given_explicitly(options: dict[str, Any], links: Path) -> None:
    assert (await snapdir.manifest(links, **options)).raw == (await snapdir.manifest(links)).raw
    assert await snapdir.id(links, **options) == await snapdir.id(links)


@case("PY-29")
@pytest.mark.parametrize("options", OPTIONS)
async def test_id_and_manifest_agree_whatever_the_options(options: dict[str, Any], links: Path) -> None:
    manifest = await snapdir.manifest(links, **options)
    assert await snapdir.id(links, **options) == snapdir.id_from_manifest(manifest)
    assert ("drop.tmp" in manifest.raw) == (options["exclude"] is None)
    assert (manifest.raw == (await snapdir.manifest(links)).raw) == (options == OPTIONS[0])


@case("PY-30")
async def test_a_link_to_a_directory_is_followed_or_left_out(links: Path) -> None:
    followed, left = await paths(links), await paths(links, no_follow=True)
    assert "./link_to_dir/inner.txt" in followed
    assert followed - left == {"./link_to_dir/", "./link_to_dir/inner.txt", "./link_to_file"}


@case("PY-31")
async def test_absolute_changes_how_paths_are_written(links: Path) -> None:
    relative, absolute = await snapdir.manifest(links), await snapdir.manifest(links, absolute=True)
    assert str(links) not in relative.raw
    assert (relative.entries[0].path, absolute.entries[0].path) == ("./", f"{links}/")
    assert [f"{links}{entry.path[1:]}" for entry in relative.entries] == [entry.path for entry in absolute.entries]


@case("PY-32")
@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        ([r"\.tmp$"], {"./drop.tmp"}),
        ([r"\.tmp$", r"\.log$"], {"./drop.tmp", "./keep.log"}),
        (["drop|keep"], {"./drop.tmp", "./keep.log"}),
        (["inner"], {"./real/inner.txt", "./link_to_dir/inner.txt"}),
    ],
)
async def test_excludes_are_searched_and_can_be_combined(patterns: list[str], gone: set[str], links: Path) -> None:
    assert await paths(links) - await paths(links, exclude=patterns) == gone
    alone = await snapdir.id(links, exclude=["|".join(patterns)])
    assert await snapdir.id(links, exclude=patterns) == alone
