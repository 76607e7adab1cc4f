"""Manifests with paths outside the destination are refused or contained; nothing is written outside."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

import snapdir
from snapdir.cli.render import error_line
from snapdir.disk import destination as destination_module
from snapdir.errors import DestinationConflict, InvalidManifest, SnapdirError, UnsafePath
from snapdir.hashing.tree import digest_of, manifest_id
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.paths import STAGING_NAME

PAYLOAD = b"written by a hostile manifest"
SUM = digest_of(PAYLOAD)
ROOT = f"D 755 {SUM} {len(PAYLOAD)} ./\n"


def file_line(path: str, *, mode: str = "644", checksum: str = SUM) -> str:
    return f"F {mode} {checksum} {len(PAYLOAD)} {path}\n"


class Arena:
    """A store with any content, a destination, and a directory outside it that must not change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.dest = folder / "parent" / "dest"
        self.dest.mkdir(parents=True)
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "x").write_text("precious")
        self.put(object_key(SUM), PAYLOAD)

    def put(self, key: str, data: bytes) -> None:
        path = self.store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def publish(self, text: str) -> str:
        """Store ``text`` under the id it really has (or its plain hash where it does not parse)."""
        stored = text.encode()
        try:
            identifier = str(manifest_id(Manifest.parse(stored)))
        except InvalidManifest:
            identifier = str(digest_of(stored))
        self.put(manifest_key(identifier), stored)
        return identifier

    def elsewhere(self) -> dict[str, tuple[int, bytes]]:
        """Mode and content of everything that is neither the store nor below the destination."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_relative_to(self.store) or (self.dest in path.parents and not path.is_symlink()):
                continue
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = (status.st_mode if path != self.dest else 0, content)
        return found


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    return Arena(tmp_path)


async def pull(arena: Arena, identifier: str) -> None:
    await snapdir.pull(identifier, f"file://{arena.store}", arena.dest)


REFUSED = {
    "parent": ROOT + file_line("../x"),
    "parent after dot": ROOT + file_line("./../x"),
    "absolute": ROOT + file_line("/abs"),
    "absolute after dot": ROOT + file_line(".//abs"),
    "up through a child": ROOT + file_line("./a/../../x"),
    "mode of the parent": ROOT + f"D 777 {SUM} 0 ./../\n",
    "file at the root": file_line("./"),
    "one path twice": ROOT + file_line("./a") + file_line("./a", mode="600"),
    "file and directory of one name": ROOT + file_line("./a") + f"D 755 {SUM} 0 ./a/\n",
    "file below a file": ROOT + file_line("./a") + file_line("./a/b"),
    "NUL": ROOT + file_line("./a\0b"),
    "5000 components": ROOT + file_line("./" + "/".join("d" * 5000)),
    "longer than any path": ROOT + file_line("./" + "/".join(["d" * 99] * 41)),
    "a name of 256 bytes": ROOT + file_line("./" + "n" * 256),
    "dot": ROOT + file_line("./a/./b"),
    "empty component": ROOT + file_line("./a//b"),
    "no dot": ROOT + file_line("a"),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
async def test_it_is_refused_before_anything_is_written(arena: Arena, text: str) -> None:
    identifier = arena.publish(text)
    before = await anyio.to_thread.run_sync(arena.elsewhere)
    with pytest.raises(UnsafePath) as caught:
        await pull(arena, identifier)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert await anyio.to_thread.run_sync(arena.elsewhere) == before
    assert os.listdir(arena.dest) == []


@pytest.mark.parametrize("selection", [{"include": ["*d*"]}, {"exclude": ["x"]}, {"shard": "1/2"}])
async def test_a_part_of_it_takes_no_time_or_memory_for_a_path_that_cannot_be(
    arena: Arena, selection: dict[str, Any]
) -> None:
    """What is above a path of 100,000 names would take 10 GB."""
    identifier = arena.publish(ROOT + file_line("./" + "d/" * 100_000 + "f"))
    with pytest.raises(UnsafePath):
        await snapdir.pull(identifier, f"file://{arena.store}", arena.dest, **selection)
    assert os.listdir(arena.dest) == []


async def test_a_newline_in_a_stored_path_is_a_broken_line(arena: Arena) -> None:
    with pytest.raises(InvalidManifest):
        await pull(arena, arena.publish(ROOT + file_line("./a\n../x")))
    assert os.listdir(arena.dest) == []


@pytest.mark.parametrize("where", ["sub", "sub/deeper"])
async def test_a_link_in_the_place_of_a_directory_is_never_followed(arena: Arena, where: str) -> None:
    link = arena.dest / where
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(arena.outside)
    identifier = arena.publish(ROOT + file_line(f"./{where}/x"))
    with pytest.raises(DestinationConflict, match=f"./{where}"):
        await pull(arena, identifier)
    assert os.readlink(link) == str(arena.outside)
    await snapdir.pull(identifier, f"file://{arena.store}", arena.dest, delete=True)
    assert (arena.outside / "x").read_text() == "precious"
    assert (arena.dest / where / "x").read_bytes() == PAYLOAD
    assert not link.is_symlink()


async def test_a_link_swapped_in_between_check_and_write_is_never_followed(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attacker replaces the directory right after it was made and right before the file is named."""
    publish = destination_module.Destination.publish
    swapped = []

    def swap_then_publish(self, temporary: str, names: tuple[str, ...], mode: int) -> None:
        directory = arena.dest / "sub"
        if directory.is_dir() and not directory.is_symlink():
            directory.rename(arena.dest / "moved-away")
            directory.symlink_to(arena.outside)
            swapped.append(names)
        publish(self, temporary, names, mode)

    monkeypatch.setattr(destination_module.Destination, "publish", swap_then_publish)
    identifier = arena.publish(ROOT + file_line("./sub/x") + file_line("./sub/y"))
    with suppress(SnapdirError):  # refused, or written into the directory that was moved away: both are contained
        await pull(arena, identifier)
    assert swapped
    assert (arena.outside / "x").read_text() == "precious"
    assert os.listdir(arena.outside) == ["x"]


async def test_the_directory_of_temporaries_cannot_be_written_by_a_manifest(arena: Arena) -> None:
    identifier = arena.publish(ROOT + file_line(f"./{STAGING_NAME}/x"))
    with pytest.raises(UnsafePath):
        await pull(arena, identifier)


@pytest.mark.parametrize("mode", ["zzz", "-644", "8", "0x1ff"], ids=["letters", "negative", "not octal", "hexadecimal"])
async def test_a_mode_that_is_not_octal_is_refused_before_anything_is_written(arena: Arena, mode: str) -> None:
    with pytest.raises(SnapdirError, match="invalid permissions") as caught:
        await pull(arena, arena.publish(ROOT + file_line("./a", mode=mode)))
    assert "./a" in error_line(caught.value)
    assert os.listdir(arena.dest) == []


@pytest.mark.parametrize("checksum", ["../../outside/x", "a" * 63, "g" * 64, "/etc/passwd"])
async def test_a_checksum_that_is_no_digest_is_no_key(arena: Arena, checksum: str) -> None:
    with pytest.raises(SnapdirError, match=r"invalid checksum: .* of ./a names no object"):
        await pull(arena, arena.publish(ROOT + file_line("./a", checksum=checksum)))
    assert os.listdir(arena.dest) == []


async def test_one_line_repeated_as_it_is_does_no_harm(arena: Arena) -> None:
    await pull(arena, arena.publish(ROOT + file_line("./a") + file_line("./a")))
    assert (arena.dest / "a").read_bytes() == PAYLOAD
