"""Generated trees: snapdir and the reference compute the same manifest and id, and read each other's stores."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import snapdir
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.manifest import Manifest
from snapdir.stores.settings import StoreSettings
from snapdir.testing.strategies import build_tree, trees
from tests.golden.reference import Reference, ReferenceMissing
from tests.needed import skip
from tests.rclone_server import RcloneServer

# The fixtures hold nothing that one example could leave to the next: a reference that answers, a store that keeps
# whatever it is given under its digest. No deadline: an example is two programs and a disk.
drawing = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
EXCLUDES = [[], [r"\.tmp$"], ["/a"], [r"[0-9]$", "é"], [r"/sub/"], ["/[a-m][^/]*$"]]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    try:
        running = Reference(tmp_path_factory.mktemp("reference-cache"))
    except ReferenceMissing as missing:
        skip("the reference", str(missing))
    with running:
        yield running


@contextmanager
def built(tree: Any) -> Iterator[Path]:
    """The tree on disk and room beside it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        build_tree(tree, root)
        yield root


@given(tree=trees(), no_follow=st.booleans(), absolute=st.booleans(), exclude=st.sampled_from(EXCLUDES))
@settings(drawing, max_examples=250)
def test_a_tree_has_the_manifest_and_id_that_the_reference_gives_it(
    reference: Reference, tree: Any, no_follow: bool, absolute: bool, exclude: list[str]
) -> None:
    options = {"no_follow": no_follow, "absolute": absolute, "exclude": exclude}
    with built(tree) as root:
        assert asyncio.run(snapdir.id(root)) == reference.id(root)
        expected = reference.manifest(root, **options)
        if "\n" not in expected and exclude and "F " in reference.manifest(root, no_follow=no_follow):
            # The one difference that is meant: excludes that leave nothing of a tree with files are an error.
            with pytest.raises(SnapdirError, match="excludes every file of"):
                asyncio.run(snapdir.manifest(root, **options))
        else:
            assert asyncio.run(snapdir.manifest(root, **options)).raw == expected


@given(tree=trees())
@settings(drawing, max_examples=40)
def test_the_reference_reads_what_ours_pushed_to_a_folder(reference: Reference, tree: Any) -> None:
    with built(tree) as root:
        ours_to_theirs(reference, root, f"file://{root.parent}/store")


@given(tree=trees())
@settings(drawing, max_examples=40)
def test_ours_reads_what_the_reference_pushed_to_a_folder(reference: Reference, tree: Any) -> None:
    with built(tree) as root:
        theirs_to_ours(reference, root, f"file://{root.parent}/store")


@pytest.fixture
def s3_reference(reference: Reference, s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """The reference with the server's address and keys, which ours gets too."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    reference.environment = s3_server.environment
    return reference


@given(tree=trees())
@settings(drawing, max_examples=10)
def test_the_reference_reads_what_ours_pushed_to_s3(
    s3_reference: Reference, s3_server: RcloneServer, tree: Any
) -> None:
    with built(tree) as root:
        ours_to_theirs(s3_reference, root, f"s3://{s3_server.bucket}/from-ours")


@given(tree=trees())
@settings(drawing, max_examples=10)
def test_ours_reads_what_the_reference_pushed_to_s3(
    s3_reference: Reference, s3_server: RcloneServer, tree: Any
) -> None:
    with built(tree) as root:
        theirs_to_ours(s3_reference, root, f"s3://{s3_server.bucket}/from-theirs")


def test_the_reference_takes_no_notice_of_the_history_in_a_store(reference: Reference, tmp_path: Path) -> None:
    store, tree, config = f"file://{tmp_path}/store", tmp_path / "tree", Config(cache_dir=tmp_path / "cache")
    tree.mkdir()
    (tree / "file").write_text("content")
    recording = replace(config, catalog=tmp_path / "catalog.sqlite3")
    pushed = asyncio.run(
        snapdir.push(tree, store, derived_from=["ab" * 32], unchecked=True, note="first", config=recording)
    )
    records = [*(tmp_path / "store/.catalog").rglob("*.json")]
    assert len(records) == 1
    assert reference.verify(pushed, store)
    reference.pull(pushed, store, tmp_path / "pulled")
    same_tree(tree, tmp_path / "pulled")
    assert reference.push(tree, store) == pushed
    assert [*(tmp_path / "store/.catalog").rglob("*.json")] == records


def test_the_reference_takes_no_notice_of_names_in_a_store(reference: Reference, tmp_path: Path) -> None:
    store, tree, config = f"file://{tmp_path}/store", tmp_path / "tree", Config(cache_dir=tmp_path / "cache")
    tree.mkdir()
    (tree / "file").write_text("content")
    pushed = asyncio.run(snapdir.push(tree, store, config=config))
    for name in ("v1", "team/best"):
        asyncio.run(snapdir.tag(name, pushed, store, config=config))
    asyncio.run(snapdir.delete_tag("v1", store, config=config))
    names = {path: path.read_bytes() for path in (tmp_path / "store/.refs").rglob("*") if path.is_file()}
    assert reference.verify(pushed, store)
    reference.pull(pushed, store, tmp_path / "pulled")
    same_tree(tree, tmp_path / "pulled")
    assert reference.push(tree, store) == pushed
    assert {path: path.read_bytes() for path in (tmp_path / "store/.refs").rglob("*") if path.is_file()} == names


def ours_to_theirs(reference: Reference, root: Path, store: str) -> None:
    pushed = asyncio.run(snapdir.push(root, store, config=own_config(root)))
    assert pushed == reference.id(root)
    assert reference.verify(pushed, store)
    if has_name_too_long_for_the_reference(root):
        return
    reference.pull(pushed, store, root.parent / "pulled")
    same_tree(root, root.parent / "pulled")


def theirs_to_ours(reference: Reference, root: Path, store: str) -> None:
    pushed = reference.push(root, store)
    assert asyncio.run(snapdir.verify(pushed, store, config=own_config(root))) is True
    destination = root.parent / "pulled"
    asyncio.run(snapdir.pull(pushed, store, destination, preserve_special_modes=True, config=own_config(root)))
    same_tree(root, destination)


def has_name_too_long_for_the_reference(root: Path) -> bool:
    """Its temporaries stand beside the file, and their names are up to 20 bytes longer than the file's."""
    files = asyncio.run(snapdir.manifest(root)).files
    return any(len(file.path.rpartition("/")[2].encode()) > 235 for file in files)


def own_config(root: Path) -> Config:
    """A cache of its own; nothing here has to survive a power cut."""
    return Config(cache_dir=root.parent / "cache", stores=StoreSettings(fsync=False))


def same_tree(pushed: Path, pulled: Path) -> None:
    """Both hold the same paths, modes and bytes.

    Sizes may differ, by the format's own rule: a link to a file is listed with the length of the link's text, and
    comes back as a file.
    """
    before, after = (asyncio.run(snapdir.manifest(root)) for root in (pushed, pulled))
    assert without_sizes(after) == without_sizes(before)
    if not any(entry.is_file and entry.mode == "777" for entry in before.entries):
        assert after.raw == before.raw


def without_sizes(manifest: Manifest) -> list[tuple[str, str, str, str]]:
    return [(entry.kind, entry.mode, entry.checksum, entry.path) for entry in manifest.entries]
