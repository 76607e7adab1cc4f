"""Generated pairs of stores, some damaged: `sync` and `verify` have the same results as the reference."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

from hypothesis import event, given, settings
from hypothesis import strategies as st

import snapdir
from snapdir.config import Config
from snapdir.errors import SnapdirError
from snapdir.model.digest import EMPTY_DIGEST
from snapdir.model.keys import object_key
from snapdir.stores.settings import StoreSettings
from snapdir.testing.strategies import Tree, build_tree, trees
from tests.golden.reference import Reference, ReferenceRefused
from tests.golden.test_oracle import drawing, reference

__all__ = ["reference"]

T = TypeVar("T")
PAIRS = 50
Damage = Literal["none", "missing at the source", "flipped at the source", "flipped at the target"]


def outcome(call: Callable[[], object]) -> str:
    """``done``, or the stable word for what is wrong."""
    try:
        call()
    except (SnapdirError, ReferenceRefused) as error:
        return error.code
    return "done"


def run(verb: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(verb)


def kept(store: Path) -> dict[str, bytes]:
    """What the format keeps in a store."""
    return {
        str(file.relative_to(store)): file.read_bytes()
        for folder in (".objects", ".manifests")
        for file in (store / folder).rglob("*")
        if file.is_file()
    }


def flip(file: Path) -> None:
    """Change content and keep the length: only reading it can tell."""
    file.chmod(0o644)
    file.write_bytes(bytes(byte ^ 0xFF for byte in file.read_bytes()))


def damage(kind: Damage, digest: str, source: Path, target: Path) -> None:
    at_source, at_target = source / object_key(digest), target / object_key(digest)
    if kind == "missing at the source":
        at_source.unlink()
    elif kind == "flipped at the source":
        flip(at_source)
    elif kind == "flipped at the target" and at_target.is_file():
        flip(at_target)


@given(
    tree=trees(),
    other=trees(max_nodes=4),
    there=st.sets(st.integers(0, 11)),
    published=st.sampled_from([False, False, True]),
    kind=st.sampled_from(["none", "none", "missing at the source", "flipped at the source", "flipped at the target"]),
    which=st.integers(0, 11),
)
@settings(drawing, max_examples=PAIRS)
def test_sync_and_verify_agree(
    reference: Reference,
    tree: Tree,
    other: Tree,
    there: set[int],
    published: bool,
    kind: Damage,
    which: int,
) -> None:
    """The target has another snapshot, some of the objects, and at times the manifest already."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = Config(cache_dir=place / "cache", stores=StoreSettings(fsync=False))
        source, targets = place / "source", {"ours": place / "ours", "theirs": place / "theirs"}
        build_tree(tree, place / "tree")
        build_tree(other, place / "other")
        snapshot = reference.push(place / "tree", f"file://{source}")
        run(snapdir.push(place / "other", str(targets["ours"]), config=config))
        digests = sorted({entry.checksum for entry in run(snapdir.manifest(place / "tree")).files})
        if published:
            run(snapdir.sync(snapshot, str(source), str(targets["ours"]), config=config))
        for number, digest in enumerate(digests):
            if number in there:
                copied = targets["ours"] / object_key(digest)
                copied.parent.mkdir(parents=True, exist_ok=True)
                copied.unlink(missing_ok=True)  # only root could write to one that is there
                shutil.copy(source / object_key(digest), copied)
        changeable = [digest for digest in digests if digest != EMPTY_DIGEST]
        if changeable:
            damage(kind, changeable[which % len(changeable)], source, targets["ours"])
        shutil.copytree(targets["ours"], targets["theirs"])

        ours = outcome(lambda: run(snapdir.sync(snapshot, str(source), str(targets["ours"]), config=config)))
        theirs = outcome(lambda: reference.sync(snapshot, f"file://{source}", f"file://{targets['theirs']}"))
        event(ours)
        assert ours == theirs
        if ours == "done":
            assert kept(targets["ours"]) == kept(targets["theirs"])
        for store in (source, *targets.values()):
            verified = outcome(lambda store=store: run(snapdir.verify(snapshot, str(store), config=config)))  # type: ignore[misc]
            assert verified == outcome(lambda store=store: reference.verify(snapshot, f"file://{store}"))  # type: ignore[misc]
