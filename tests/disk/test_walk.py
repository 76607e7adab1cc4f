"""Entries that a walk leaves out and names, and trees that change during a walk."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from snapdir.disk.left_out import LeftOut
from snapdir.disk.linked_objects import LinkedObjects
from snapdir.disk.listing import listing_of
from snapdir.disk.walk import Walk
from snapdir.errors import InFluxError, SnapdirError, UnsafeName, WalkFailed
from snapdir.model.keys import object_key
from snapdir.model.paths import STAGING_NAME
from snapdir.model.patterns import exclusion
from snapdir.model.source import SourceFile

BESIDE = f"{STAGING_NAME}-0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "sub" / "b").write_text("b")
    return root


def paths(walk: Walk) -> set[str]:
    return {file.path for file in walk} | walk.directory_modes.keys()


def left_out(walk: Walk) -> dict[str, str]:
    paths(walk)
    return dict(walk.left_out.entries)


def make_socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # the address has room for 108 bytes
    finally:
        os.close(folder)


class TestLeftOut:
    def test_each_with_its_reason(self, root: Path) -> None:
        (root / "broken").symlink_to("nowhere")
        (root / "loop").symlink_to("loop")
        os.mkfifo(root / "sub" / "fifo")
        make_socket(root / "socket")
        (root / "to-fifo").symlink_to("sub/fifo")
        (root / "to-null").symlink_to("/dev/null")
        (root / "x.tmp").touch()
        assert left_out(Walk(root, excluded=exclusion([r"\.tmp$"]))) == {
            "./broken": "broken link",
            "./loop": "broken link",
            "./sub/fifo": "FIFO",
            "./socket": "socket",
            "./to-fifo": "link to a FIFO",
            "./to-null": "link to a device",
            "./x.tmp": "excluded",
        }

    def test_links_that_are_not_followed(self, root: Path) -> None:
        (root / "file").symlink_to("a")
        (root / "directory").symlink_to("sub")
        (root / "broken").symlink_to("nowhere")
        assert left_out(Walk(root, follow=False)) == dict.fromkeys(
            ["./file", "./directory", "./broken"], "link not followed"
        )

    def test_an_excluded_directory_counts_once(self, root: Path) -> None:
        assert left_out(Walk(root, excluded=exclusion(["./sub"]))) == {"./sub": "excluded"}

    def test_a_tree_of_files_and_directories_leaves_out_nothing(self, root: Path) -> None:
        (root / "link").symlink_to("a")
        assert left_out(Walk(root)) == {}

    def test_absolute_paths_stand_in_an_absolute_manifest(self, root: Path) -> None:
        os.mkfifo(root / "fifo")
        walk = Walk(root, absolute=True, excluded=exclusion(["./sub$"]))
        assert left_out(walk) == {f"{root}/fifo": "FIFO", f"{root}/sub": "excluded"}

    def test_followed_links_are_counted(self, root: Path) -> None:
        (root / "file").symlink_to("a")
        (root / "one").symlink_to("sub")
        (root / "two").symlink_to("sub")
        walk = Walk(root)
        paths(walk)
        assert (walk.followed_files, walk.followed_directories) == (1, 2)

    def test_the_sentence_counts_all_and_names_five(self) -> None:
        found = LeftOut()
        for number in range(7):
            found.add(f"./{number}", "excluded")
        found.add("./pipe", "FIFO")
        found.add("./x", "broken link")
        found.add("./y", "broken link")
        assert found.sentence("/data") == (
            "10 entries of /data were left out: 7 excluded (./0, ./1, ./2, ./3, ./4, …), 1 FIFO (./pipe),"
            " 2 broken links (./x, ./y)"
        )

    def test_one_is_singular(self) -> None:
        found = LeftOut()
        found.add("./x", "link to a FIFO")
        assert found.sentence("/d") == "1 entry of /d was left out: 1 link to a FIFO (./x)"

    def test_memory_is_bounded_and_the_count_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("snapdir.disk.left_out.MAX_KEPT", 3)
        found = LeftOut()
        for number in range(5):
            found.add(str(number), "socket")
        assert found.entries == [(str(number), "socket") for number in range(3)]
        assert "5 sockets (0, 1, 2, 3, 4)" in found.sentence("/")


class TestOwnTemporaries:
    @pytest.mark.parametrize("kind", ["directory", "file", "link"])
    def test_the_staging_name_is_left_out_at_the_root(self, root: Path, kind: str) -> None:
        before = paths(Walk(root))
        if kind == "directory":
            (root / STAGING_NAME / "deep").mkdir(parents=True)
            (root / STAGING_NAME / "deep" / "file").touch()
        elif kind == "file":
            (root / STAGING_NAME).touch()
        else:
            (root / STAGING_NAME).symlink_to("sub")
        walk = Walk(root)
        assert paths(walk) == before
        assert walk.left_out.entries == [(f"./{STAGING_NAME}", "temporary of a pull")]

    def test_it_is_data_anywhere_else(self, root: Path) -> None:
        (root / "sub" / STAGING_NAME).mkdir()
        (root / "sub" / STAGING_NAME / "file").touch()
        (root / f"{STAGING_NAME}s").touch()
        assert {f"./sub/{STAGING_NAME}/file", f"./{STAGING_NAME}s"} <= paths(Walk(root))

    def test_it_is_left_out_of_an_absolute_manifest(self, root: Path) -> None:
        (root / STAGING_NAME).mkdir()
        assert f"{root}/{STAGING_NAME}/" not in paths(Walk(root, absolute=True))

    def test_a_temporary_beside_its_target_is_left_out_anywhere(self, root: Path) -> None:
        before = paths(Walk(root))
        (root / BESIDE).touch()
        (root / "sub" / BESIDE).symlink_to("b")
        walk = Walk(root)
        assert paths(walk) == before
        assert {path for path, _ in walk.left_out.entries} == {f"./{BESIDE}", f"./sub/{BESIDE}"}

    def test_a_directory_of_such_a_name_is_data(self, root: Path) -> None:
        (root / "sub" / BESIDE).mkdir()
        (root / "sub" / BESIDE / "file").touch()
        assert f"./sub/{BESIDE}/file" in paths(Walk(root))

    def test_one_that_vanishes_during_the_walk_is_no_error(self, root: Path) -> None:
        before = paths(Walk(root))
        (root / STAGING_NAME).mkdir()
        (root / BESIDE).touch()
        (root / "sub" / BESIDE).touch()
        walk = Vanishing(root, STAGING_NAME, BESIDE)
        assert paths(walk) == before


class Vanishing(Walk):
    """Entries of some names are gone once they were listed."""

    def __init__(self, root: Path, *names: str) -> None:
        super().__init__(root)
        self.names = names

    def __iter__(self) -> Iterator[SourceFile]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("snapdir.disk.walk.listing_of", lambda entries: listing_of(self.vanishing(entries)))
            yield from super().__iter__()

    def vanishing(self, entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            if entry.name in self.names:
                for found in [found for found in Path(self.root).rglob("*") if found.name == entry.name]:
                    remove(found)
            yield entry


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


class TestInFlux:
    @pytest.mark.parametrize("name", ["a", "sub", "b"])
    def test_an_entry_that_vanishes_after_its_listing_is_named(self, root: Path, name: str) -> None:
        with pytest.raises(InFluxError, match=rf"vanished while it was read: .*/{name};.*--exclude") as caught:
            list(Vanishing(root, name))
        assert Path(caught.value.path).name == name

    @pytest.mark.parametrize("replace", [Path.rmdir, lambda path: (path.rmdir(), path.touch())], ids=["gone", "a file"])
    def test_a_directory_that_vanishes_before_it_is_read_is_named(
        self, root: Path, replace: Callable[[Path], object]
    ) -> None:
        (root / "sub" / "b").unlink()
        walk = iter(Walk(root))
        assert next(walk).path == "./a"
        replace(root / "sub")
        with pytest.raises(InFluxError, match="vanished") as caught:
            list(walk)
        assert caught.value.path == str(root / "sub")

    @pytest.mark.parametrize("target", ["nowhere", "a"])
    def test_a_link_that_vanishes_after_its_listing_is_named(self, root: Path, target: str) -> None:
        (root / "link").symlink_to(target)
        with pytest.raises(InFluxError, match="vanished"):
            list(Vanishing(root, "link"))

    @pytest.mark.parametrize("linked", [True, False])
    def test_a_broken_link_that_vanishes_before_its_target_is_looked_at_is_not_left_out_in_silence(
        self, root: Path, linked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "link").symlink_to("nowhere")
        objects = LinkedObjects([str(root / "store")], trusted=True) if linked else None
        monkeypatch.setattr("snapdir.disk.long_paths.os", OsThatUnlinks(root / "link"))
        with pytest.raises(InFluxError, match="vanished") as caught:
            list(Walk(root, linked=objects))
        assert caught.value.path == str(root / "link")

    def test_a_link_to_an_object_that_vanishes_is_named(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stored = root.parent / "store" / object_key("ab" * 32)
        stored.parent.mkdir(parents=True)
        stored.touch()
        (root / "link").symlink_to(stored)
        monkeypatch.setattr("snapdir.disk.long_paths.os", OsThatUnlinks(root / "link"))
        with pytest.raises(InFluxError, match="vanished"):
            list(Walk(root, linked=LinkedObjects([str(root.parent / "store")], trusted=True)))

    def test_a_link_that_becomes_a_file_has_changed(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "link").symlink_to("a")
        monkeypatch.setattr("snapdir.disk.long_paths.os", OsThatUnlinks(root / "link", instead=Path.touch))
        with pytest.raises(InFluxError, match="changed"):
            list(Walk(root, linked=LinkedObjects([str(root / "store")], trusted=True)))

    def test_a_link_is_looked_at_again_when_links_were_counted_twice(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "link").symlink_to("a")
        (root / "loop").symlink_to("loop")
        system = OsThatCountsTwice()
        monkeypatch.setattr("snapdir.disk.walk.os", system)
        monkeypatch.setattr("snapdir.disk.long_paths.os", system)
        walk = Walk(root)
        assert {file.path for file in walk} == {"./a", "./link", "./sub/b"}
        assert walk.left_out.entries == [("./loop", "broken link")]


class OsThatCountsTwice:
    """A system where a mount elsewhere disturbs the first stat calls of each path: see ``_steady``."""

    def __init__(self) -> None:
        self._looks: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def stat(self, path: str) -> os.stat_result:
        self.disturb(path)
        return os.stat(path)

    def open(self, path: str, flags: int) -> int:
        self.disturb(path)
        return os.open(path, flags)

    def disturb(self, path: str) -> None:
        self._looks[path] += 1
        if self._looks[path] < 5 and path.endswith(("link", "loop", "sub", "b")):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


class OsThatUnlinks:
    """The system, where a link is removed right after (or before) its target was looked at."""

    def __init__(self, link: Path, instead: Callable[[Path], object] = lambda _path: None) -> None:
        self._link = link
        self._instead = instead

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def stat(self, path: str) -> os.stat_result:
        if path != str(self._link):
            return os.stat(path)
        try:
            return os.stat(path)
        finally:
            self._link.unlink()
            self._instead(self._link)


class TestUnreadable:
    def test_all_are_named_in_one_error(self, root: Path) -> None:
        for name in ("one", "two", "sub/three"):
            (root / name).symlink_to("/proc/self/mem/x")  # neither broken nor readable, for every user
        with pytest.raises(WalkFailed) as caught:
            list(Walk(root))
        assert {path for path, _ in caught.value.failures} == {str(root / name) for name in ("one", "two", "sub/three")}

    def test_a_name_that_no_manifest_can_carry_is_refused(self, root: Path) -> None:
        (root / "new\nline").touch()
        with pytest.raises(UnsafeName):
            list(Walk(root))


class TestExcludes:
    @pytest.mark.parametrize("pattern", ["/tree", "tree$", "", "/"])
    def test_a_pattern_that_fits_the_path_of_the_tree_is_an_error(self, root: Path, pattern: str) -> None:
        with pytest.raises(SnapdirError, match=r"matches the path of the tree itself.* starts with \./") as caught:
            list(Walk(root, excluded=exclusion(["never", pattern])))
        assert repr(pattern) in str(caught.value)

    @pytest.mark.parametrize("pattern", ["./", "/tree/", r"/(a|sub)$"])
    def test_excludes_that_leave_nothing_of_a_tree_with_files_are_an_error(self, root: Path, pattern: str) -> None:
        walk = Walk(root, excluded=exclusion([pattern]))
        assert paths(walk) == {"./"}
        with pytest.raises(SnapdirError, match="excludes every file of") as caught:
            walk.require_something()
        assert repr(pattern) in str(caught.value)

    def test_files_below_an_excluded_directory_are_files_too(self, root: Path) -> None:
        (root / "a").unlink()
        walk = Walk(root, excluded=exclusion(["./sub$"]))
        paths(walk)
        with pytest.raises(SnapdirError, match="excludes every file of"):
            walk.require_something()

    def test_a_tree_without_files_may_be_left_empty(self, root: Path) -> None:
        (root / "a").unlink()
        (root / "sub" / "b").unlink()
        walk = Walk(root, excluded=exclusion(["./sub$"]))
        assert paths(walk) == {"./"}
        walk.require_something()

    @pytest.mark.parametrize("follow", [True, False])
    def test_broken_links_and_links_that_are_not_followed_are_no_files(self, root: Path, follow: bool) -> None:
        (root / "sub" / "b").unlink()
        (root / "sub" / "broken").symlink_to("nowhere")
        (root / "sub" / "up").symlink_to(".")
        (root / "a").rename(root.parent / "a")
        (root / "link").symlink_to("../a")
        walk = Walk(root, follow=follow, excluded=exclusion(["./"]))
        assert paths(walk) == {"./"}
        with pytest.raises(SnapdirError, match="excludes every file of") if follow else nullcontext():
            walk.require_something()

    def test_directories_that_are_left_are_something(self, root: Path) -> None:
        walk = Walk(root, excluded=exclusion(["/[ab]$"]))
        assert paths(walk) == {"./", "./sub/"}
        walk.require_something()

    def test_a_pattern_of_the_inside_fits_an_absolute_manifest_too(self, root: Path) -> None:
        assert f"{root}/a" not in paths(Walk(root, absolute=True, excluded=exclusion(["./a$"])))
