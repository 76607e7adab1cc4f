"""Pruning removes exactly the extra entries, and never follows links."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from snapdir.disk.destination import Destination
from snapdir.disk.pruning import Extra, find_extra, remove_extra
from snapdir.errors import LocalError

pytestmark = pytest.mark.usefixtures("open_descriptors")

FILES = ["kept", "extra", "sub/kept", "sub/extra", "gone/a/b/c", "gone/z", "gone/a/x", ".hidden", "sp ace/ü"]
KEPT = {"./kept", "./sub/", "./sub/kept"}


@pytest.fixture
def full(root: Path, destination: Destination) -> Destination:
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return destination


def extra_paths(destination: Destination, kept: Collection[str] = KEPT, **options: object) -> list[str]:
    return [extra.path for extra in find_extra(destination.directories, kept, **options)]  # type: ignore[arg-type]


def prune(destination: Destination, kept: Collection[str] = KEPT, **options: object) -> None:
    for extra in find_extra(destination.directories, kept, change_modes=True, **options):  # type: ignore[arg-type]
        assert remove_extra(destination.directories, extra)


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_the_deepest_come_first_then_the_order_of_bytes(full: Destination) -> None:
    assert extra_paths(full) == [
        "./gone/a/b/c",
        "./gone/a/b/",
        "./gone/a/x",
        "./gone/a/",
        "./gone/z",
        "./sp ace/ü",
        "./sub/extra",
        "./.hidden",
        "./extra",
        "./gone/",
        "./sp ace/",
    ]


def test_only_what_is_kept_is_left(full: Destination, root: Path) -> None:
    prune(full)
    assert everything(root) == {"kept", "sub", "sub/kept"}


def test_what_is_protected_stays_with_the_directories_above_it(full: Destination, root: Path) -> None:
    prune(full, is_protected=lambda path: path in ("./gone/a/b/c", "./sp ace/"))
    assert everything(root) == {"kept", "sub", "sub/kept", "gone", "gone/a", "gone/a/b", "gone/a/b/c", "sp ace"}


def test_links_are_removed_and_what_they_lead_to_is_not(full: Destination, root: Path, outside: Path) -> None:
    (root / "to-directory").symlink_to(outside)
    (root / "sub" / "to-file").symlink_to(outside / "precious")
    (root / "gone" / "up").symlink_to("../..")
    (root / "loop").symlink_to("loop")
    (root / "gone" / "a" / "cycle").symlink_to("..")
    (root / "dangling").symlink_to("nowhere")
    prune(full)
    assert everything(root) == {"kept", "sub", "sub/kept"}


def test_a_file_where_a_directory_is_kept_is_extra_and_the_other_way_round(full: Destination) -> None:
    assert "./extra" in extra_paths(full, {"./extra/"})
    assert "./sub/" in extra_paths(full, {"./sub"})


def test_other_kinds_of_files_and_names_that_are_no_text_go_too(full: Destination, root: Path) -> None:
    os.mkfifo(root / "fifo")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_text("odd")
    prune(full, is_protected=lambda path: "é" in path)
    assert everything(root) == {"kept", "sub", "sub/kept"}


def test_extra_directories_without_access_are_removed(full: Destination, root: Path) -> None:
    (root / "gone" / "a").chmod(0o000)
    (root / "gone").chmod(0o500)
    prune(full)
    assert not (root / "gone").exists()


def test_a_deep_tree_needs_no_deep_stack(destination: Destination, root: Path) -> None:
    deep = root
    for _ in range(1000):
        deep = deep / "d"
        deep.mkdir()
    prune(destination, set())
    assert list(root.iterdir()) == []


def test_what_came_meanwhile_keeps_its_directory(full: Destination, root: Path) -> None:
    (root / "gone" / "new").mkdir()
    assert remove_extra(full.directories, Extra(("gone",), True)) is False
    assert remove_extra(full.directories, Extra(("not", "there"), False)) is True


@pytest.mark.parametrize("call", ["open", "unlink"])
def test_a_directory_swapped_for_a_link_is_not_emptied(
    call: str, full: Destination, root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before it is opened, or before something in it is removed."""
    (root / "gone" / "precious").write_text("not that one")
    real: Callable[..., object] = getattr(os, call)

    def hooked(*arguments: object, **options: object) -> object:
        if arguments[0] in ("gone", "precious") and not (root / "gone").is_symlink():
            (root / "gone").rename(root / "moved")
            (root / "gone").symlink_to(outside)
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, hooked)
    try:
        for extra in find_extra(full.directories, KEPT, change_modes=True):
            remove_extra(full.directories, extra)
    except LocalError:
        pass
