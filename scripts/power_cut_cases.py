"""The cases of scripts/power_cut.py: the state before, the verb, and checks of the result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from blake3 import blake3

from snapdir.catalog.record import Record
from snapdir.cli.main import exit_code
from snapdir.errors import SnapdirError
from snapdir.hashing.tree import manifest_id
from snapdir.model.digest import EMPTY_DIGEST, Digest
from snapdir.model.keys import manifest_key, object_key
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import MIB
from snapdir.repository.repository import Repository
from snapdir.stores.base import Capabilities
from snapdir.stores.file.store import FileStore
from snapdir.stores.settings import StoreSettings
from snapdir.stores.wrapper import StoreWrapper
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from snapdir.transfer.fetch import FetchOptions, fetch


class FarStore(StoreWrapper):
    """A store on this host that behaves like a remote one."""

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities._replace(remote=True)

    def local_path(self, key: str) -> None:
        del key

    def batch_writer(self) -> None:
        return None


@dataclass(frozen=True)
class Material:
    """Input of the verbs, on a disk whose power is not cut."""

    folder: Path
    earlier: str
    later: str

    @property
    def trees(self) -> tuple[Path, Path]:
        return self.folder / "earlier", self.folder / "later"

    @property
    def store(self) -> Path:
        """A store with both snapshots."""
        return self.folder / "store"

    @property
    def pack(self) -> Path:
        return self.folder / "pack"


@dataclass(frozen=True)
class Case:
    """One verb on the disk at ``point``.

    Attributes:
        prepare: Creates the state before the verb.
        command: Runs the verb and returns its exit code.
        missing: What the result lacks.
        store: The folder of objects, manifests and records below the point.
        is_broken: Whether manifests lack objects until the verb has ended.
    """

    name: str
    prepare: Callable[[Material, Path], None]
    command: Callable[[Material, Path], int]
    missing: Callable[[Material, Path], list[str]]
    store: str = "store"
    is_broken: bool = False


# The verbs


def snapdir(*arguments: object, cache: Path | None = None) -> int:
    """Run a verb in this process and return its exit code."""
    if cache is not None:
        os.environ["SNAPDIR_CACHE_DIR"] = str(cache)
    return exit_code([str(argument) for argument in arguments])


def must(*arguments: object, cache: Path | None = None) -> None:
    if code := snapdir(*arguments, cache=cache):
        raise SystemExit(f"snapdir {' '.join(map(str, arguments))}: exit code {code}")


def push(which: int, material: Material, point: Path) -> int:
    return snapdir("push", "--store", point / "store", material.trees[which])


def push_to_pool(material: Material, point: Path) -> int:
    pool = ("--objects-store", point / "store")
    return snapdir("push", "--store", point / "store", *pool, material.trees[1])


def sync(material: Material, point: Path, *more: str) -> int:
    return snapdir("sync", "--from", material.store, "--to", point / "store", *(more or ("--all",)))


def stage(which: int, material: Material, point: Path) -> int:
    return snapdir("stage", material.trees[which], cache=point / "cache")


def fetch_near(material: Material, point: Path) -> int:
    return snapdir("fetch", "--store", material.store, "--id", material.later, cache=point / "cache")


def fetch_far(material: Material, point: Path) -> int:
    settings = StoreSettings()
    source = Repository(FarStore(FileStore(material.store, settings)))
    cache = Repository(FileStore(point / "cache", settings))
    work = partial(fetch, options=FetchOptions(settings), limits=Limits(part_bytes=2 * MIB), counters=Counters())
    anyio.run(work, Digest(material.later), source, cache)
    return 0


def receive_pack(material: Material, point: Path) -> int:
    pack = os.open(material.pack, os.O_RDONLY)
    os.dup2(pack, 0)
    return snapdir("receive-pack", "--require-manifest", material.later, "--store", point / "store")


def pull(material: Material, point: Path) -> int:
    return snapdir("pull", "--store", material.store, "--id", material.later, point / "out", cache=point / "cache")


def repair(material: Material, point: Path) -> int:
    return snapdir("verify", "--store", point / "store", "--id", material.later, "--repair-from", material.trees[1])


# The state before, and checks of the result


def nothing(material: Material, point: Path) -> None:
    del material, point


def pushed(material: Material, point: Path) -> None:
    must("push", "--store", point / "store", material.trees[0])


def staged(material: Material, point: Path) -> None:
    must("stage", material.trees[0], cache=point / "cache")


def with_gaps(name: str, material: Material, point: Path) -> None:
    """Both snapshots; some objects of the later one are missing."""
    for tree in material.trees:
        if name == "cache":
            must("stage", tree, cache=point / "cache")
        else:
            must("push", "--store", point / name, tree)
    for file in ("new-0", "new-1", "large-0", "large-1"):
        (point / name / object_key(blake3((material.trees[1] / file).read_bytes()).hexdigest())).unlink()


def snapshot_missing(name: str, material: Material, point: Path) -> list[str]:
    exists = (point / name / manifest_key(material.later)).exists()
    return [] if exists else ["the manifest of an acknowledged snapshot is missing"]


def history_missing(material: Material, point: Path) -> list[str]:
    records = b"".join(file.read_bytes() for file in below(point / "store" / ".catalog"))
    missing = snapshot_missing("store", material, point)
    return missing if material.later.encode() in records else [*missing, "its record is missing"]


def tree_missing(material: Material, point: Path) -> list[str]:
    wrong = [
        f"{file.name} at the destination is wrong"
        for file in material.trees[1].iterdir()
        if not (point / "out" / file.name).is_file() or (point / "out" / file.name).read_bytes() != file.read_bytes()
    ]
    return wrong or ([] if any((point / "cache" / ".checkouts").glob("*.json")) else ["no record of the checkout"])


in_store, in_cache = partial(snapshot_missing, "store"), partial(snapshot_missing, "cache")
CASES = (
    Case("push", pushed, partial(push, 1), history_missing),
    Case("push to a pool", pushed, push_to_pool, history_missing),
    Case("sync", pushed, sync, history_missing),
    Case("stage", staged, partial(stage, 1), in_cache, "cache"),
    Case("fetch", staged, fetch_near, in_cache, "cache"),
    Case("fetch far", staged, fetch_far, in_cache, "cache"),
    Case("receive-pack", pushed, receive_pack, in_store),
    Case("pull", nothing, pull, tree_missing, "out"),
    Case("restore by push", partial(with_gaps, "store"), partial(push, 1), in_store, is_broken=True),
    Case("restore by verify", partial(with_gaps, "store"), repair, in_store, is_broken=True),
    Case(
        "restore by sync",
        partial(with_gaps, "store"),
        lambda material, point: sync(material, point, "--id", material.later, "--recheck"),
        in_store,
        is_broken=True,
    ),
    Case("restore by fetch", partial(with_gaps, "cache"), fetch_near, in_cache, "cache", is_broken=True),
)


def faults_of(root: Path, complete: Sequence[str] | None) -> list[str]:
    """Faults of a store: names without their bytes, and manifests without their objects.

    Args:
        complete: Snapshots that must have their objects; None for all.
    """
    found = []
    right = {str(EMPTY_DIGEST)}
    for file in below(root / ".objects"):
        digest = "".join(file.relative_to(root / ".objects").parts)
        data = file.read_bytes()
        if blake3(data).hexdigest() == digest:
            right.add(digest)
        else:
            zeros = "zeros" if data and not data.strip(b"\0") else "wrong bytes"
            found.append(f"object {digest[:8]}: {len(data)} bytes, {zeros if data else 'empty'}")
    for file in below(root / ".manifests"):
        identifier = "".join(file.relative_to(root / ".manifests").parts)
        try:
            manifest = Manifest.parse(file.read_bytes())
        except SnapdirError as error:
            found.append(f"manifest {identifier[:8]}: {error}")
            continue
        if manifest_id(manifest) != identifier:
            found.append(f"manifest {identifier[:8]} has another id")
        lost = [entry for entry in manifest.files if entry.checksum not in right]
        if lost and (complete is None or identifier in complete):
            found.append(f"manifest {identifier[:8]} lacks {len(lost)} objects, first {lost[0].path}")
    for file in below(root / ".catalog"):
        try:
            Record.from_json(file.read_bytes())
        except SnapdirError as error:
            found.append(f"record {file.name}: {error}")
    return found


def below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def make_pack(material: Material) -> int:
    """Write a pack of the whole later snapshot."""
    checksums = material.folder / "checksums"
    manifest = Manifest.parse((material.store / manifest_key(material.later)).read_bytes())
    checksums.write_text("".join(f"{entry.checksum}\n" for entry in manifest.files))
    output = os.dup(1)
    os.dup2(os.open(material.pack, os.O_WRONLY | os.O_CREAT, 0o600), 1)
    try:
        return snapdir("send-pack", "--store", material.store, "--ids", checksums, "--manifest-id", material.later)
    finally:
        os.dup2(output, 1)
