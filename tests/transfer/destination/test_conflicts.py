"""What a checkout must not replace: a conflict before anything is written, unless it may delete."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.errors import DestinationConflict, LocalError
from snapdir.model.manifest import Manifest
from snapdir.repository.repository import Repository
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.engine.selection import EVERYTHING, Selection
from tests.transfer.conftest import push_tree

LARGE = bytes(range(256)) * 4096 * 3
FILES = {"model": b"weights", "train/x": b"1", "train/deep/y": b"2", "large": LARGE}


@pytest.fixture
def cache(tmp_path: Path) -> Repository:
    return Repository(FileStore(tmp_path / "cache", StoreSettings()))


@pytest.fixture
async def manifest(tmp_path: Path, cache: Repository, limits: Limits) -> Manifest:
    for name, content in FILES.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    tree = tmp_path / "tree"
    identifier = await push_tree(tree, cache, limits)
    return await cache.read_manifest(identifier)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def mounted(out: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A filesystem mounted in the place of a file: a real one for root, a simulated one for others."""
    place = out / "model" / "mounted"
    place.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True, check=False).returncode:
        monkeypatch.setattr("snapdir.disk.pruning._Search._is_mount", lambda _, names: names[-1] == place.name)
        yield place
        return
    yield place
    subprocess.run(["umount", place], check=True)


def everything(root: Path) -> dict[str, bytes | str | None]:
    """What is at every path: the bytes of a file, the text of a link, None for a directory."""
    return {str(path.relative_to(root)): _content(path) for path in root.rglob("*")}


def _content(path: Path) -> bytes | str | None:
    if path.is_symlink():
        return os.readlink(path)
    return path.read_bytes() if path.is_file() else None


async def check_out(
    manifest: Manifest,
    cache: Repository,
    out: Path,
    limits: Limits,
    *,
    selection: Selection = EVERYTHING,
    **options: object,
) -> Counters:
    counters = Counters()
    chosen = CheckoutOptions(selection=selection, fsync=False)._replace(**options)
    await checkout(manifest, cache, out, options=chosen, limits=limits, counters=counters)
    return counters


def directory_for_file(out: Path) -> list[str]:
    (out / "model").mkdir()
    (out / "model" / "notes.txt").write_text("precious")
    return ["./model/"]


def directories_for_file(out: Path) -> list[str]:
    (out / "large" / "only" / "directories").mkdir(parents=True)
    return ["./large/"]


def file_for_directory(out: Path) -> list[str]:
    (out / "train").write_text("precious")
    return ["./train"]


def file_deeper(out: Path) -> list[str]:
    (out / "train").mkdir()
    (out / "train" / "deep").write_text("precious")
    return ["./train/deep"]


def link_for_directory(out: Path) -> list[str]:
    big = out.parent / "big"
    big.mkdir()
    (big / "x").write_text("elsewhere")
    (out / "train").symlink_to(big)
    return ["./train"]


def broken_link_for_directory(out: Path) -> list[str]:
    (out / "train").symlink_to("nowhere")
    return ["./train"]


def fifo_for_directory(out: Path) -> list[str]:
    os.mkfifo(out / "train")
    return ["./train"]


def several(out: Path) -> list[str]:
    return [*file_deeper(out), *directory_for_file(out), *directories_for_file(out)]


OBSTACLES = [
    directory_for_file, directories_for_file, file_for_directory, file_deeper, link_for_directory,
    broken_link_for_directory, fifo_for_directory, several,
]  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"linked": True}, {"overwrite": False}], ids=str)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_another_kind_is_a_conflict_and_nothing_is_written(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, obstacle, more: dict[str, bool]
) -> None:
    paths = obstacle(out)
    before = everything(out)
    with pytest.raises(DestinationConflict) as raised:
        await check_out(manifest, cache, out, limits, **more)
    assert sorted(raised.value.paths) == sorted(paths)
    assert all(path in str(raised.value) for path in paths)
    assert ("--no-overwrite" if "overwrite" in more else "--delete") in str(raised.value)
    assert everything(out) == before


@pytest.mark.parametrize("more", [{}, {"linked": True}], ids=str)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_with_delete_it_goes_before_anything_is_written(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, obstacle, more: dict[str, bool]
) -> None:
    paths = obstacle(out)
    counters = await check_out(manifest, cache, out, limits, delete=True, **more)
    assert set(paths) <= set(counters.pruned)
    assert counters.files_replaced == 0
    assert {name: (out / name).read_bytes() for name in FILES} == FILES
    assert stat.S_ISDIR((out / "train").lstat().st_mode)
    if (out.parent / "big").exists():
        assert (out.parent / "big" / "x").read_text() == "elsewhere"


async def test_a_partial_checkout_asks_only_for_its_own_places(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits
) -> None:
    directory_for_file(out)
    before = everything(out)
    with pytest.raises(DestinationConflict, match=r"\./model/"):
        await check_out(manifest, cache, out, limits, selection=Selection(include=("model",)))
    assert everything(out) == before
    await check_out(manifest, cache, out, limits, selection=Selection(include=("train/",)))
    assert (out / "train" / "x").read_bytes() == b"1"
    assert (out / "model" / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize("linked", [False, True])
async def test_an_empty_directory_may_go(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, linked: bool
) -> None:
    (out / "model").mkdir()
    counters = await check_out(manifest, cache, out, limits, linked=linked)
    assert counters.pruned == ["./model/"]
    assert (out / "model").read_bytes() == b"weights"


@pytest.mark.parametrize("linked", [False, True])
async def test_no_overwrite_lists_what_differs_and_what_is_in_the_way(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, linked: bool
) -> None:
    (out / "large").write_text("other")
    (out / "model").mkdir()
    with pytest.raises(DestinationConflict) as raised:
        await check_out(manifest, cache, out, limits, overwrite=False, delete=True, linked=linked)
    assert raised.value.paths == ("./large", "./model/")
    assert everything(out) == {"large": b"other", "model": None}


async def test_a_link_to_another_object_differs(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits
) -> None:
    await check_out(manifest, cache, out, limits, linked=True)
    right = everything(out)
    (out / "model").unlink()
    (out / "model").symlink_to(str(right["large"]))
    with pytest.raises(DestinationConflict) as caught:
        await check_out(manifest, cache, out, limits, linked=True, overwrite=False)
    assert caught.value.paths == ("./model",)
    assert (await check_out(manifest, cache, out, limits, linked=True)).files_replaced == 1
    assert everything(out) == right


async def test_at_most_twenty_paths_are_named(tmp_path: Path, cache: Repository, out: Path, limits: Limits) -> None:
    (tmp_path / "many").mkdir()
    for number in range(25):
        (tmp_path / "many" / f"{number:02}").write_text("a file")
        (out / f"{number:02}" / "inside").mkdir(parents=True)
    identifier = await push_tree(tmp_path / "many", cache, limits)
    with pytest.raises(DestinationConflict) as raised:
        await check_out(await cache.read_manifest(identifier), cache, out, limits)
    assert len(raised.value.paths) == 25
    assert str(raised.value).count("./") == 20


@pytest.mark.parametrize("linked", [False, True])
async def test_what_is_protected_is_a_conflict_with_delete_too(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, linked: bool
) -> None:
    directory_for_file(out)
    (out / "train").write_text("precious")
    (out / "extra").write_text("to be deleted later")
    before = everything(out)
    for protected in ("notes", "./train"):
        with pytest.raises(DestinationConflict, match=protected):
            await check_out(
                manifest,
                cache,
                out,
                limits,
                delete=True,
                linked=linked,
                protected=lambda path, part=protected: part in path,
            )
    assert everything(out) == before


async def test_a_mounted_filesystem_is_not_emptied(
    manifest: Manifest, cache: Repository, out: Path, mounted: Path, limits: Limits
) -> None:
    (mounted / "precious").write_text("precious")
    before = everything(out)
    with pytest.raises(DestinationConflict, match=r"\./model/mounted/"):
        await check_out(manifest, cache, out, limits, delete=True)
    assert everything(out) == before


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("name", ["model", "large"])
@pytest.mark.parametrize("linked", [False, True])
async def test_a_directory_that_appears_after_the_look_stays(
    manifest: Manifest,
    cache: Repository,
    out: Path,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    linked: bool,
    delete: bool,
) -> None:
    """Right before the rename that gives the file its name."""
    real = {call: getattr(os, call) for call in ("rename", "symlink")}

    def appear(call: str):
        def hooked(source: str, target: str, **where: int) -> None:
            if target == name or call == "symlink":
                (out / name).mkdir(exist_ok=True)
                (out / name / "precious").write_text("precious")
            real[call](source, target, **where)

        return hooked

    monkeypatch.setattr(os, "symlink" if linked else "rename", appear("symlink" if linked else "rename"))
    with pytest.raises(LocalError, match=name):
        await check_out(manifest, cache, out, limits, linked=linked, delete=delete)
    assert (out / name / "precious").read_text() == "precious"


@pytest.mark.parametrize("linked", [False, True])
async def test_a_file_that_appears_after_the_look_in_a_directorys_place_stays(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    real = os.mkdir

    def hooked(path: str, *more: int, **where: int) -> None:
        if path == "train":
            (out / "train").write_text("precious")
        real(path, *more, **where)

    monkeypatch.setattr(os, "mkdir", hooked)
    with pytest.raises(DestinationConflict, match="train"):
        await check_out(manifest, cache, out, limits, linked=linked)
    assert (out / "train").read_text() == "precious"


async def test_parents_that_a_manifest_does_not_list_are_looked_at_too(
    manifest: Manifest, cache: Repository, out: Path, limits: Limits
) -> None:
    (out / "train").write_text("precious")
    bare = Manifest([entry for entry in manifest.entries if entry.is_file or entry.path == "./"])
    with pytest.raises(DestinationConflict) as raised:
        await check_out(bare, cache, out, limits)
    assert raised.value.paths == ("./train",)
    assert everything(out) == {"train": b"precious"}
