"""Every tree and text of the specification's vectors has the expected manifest, id or error.

``vectors.json`` beside this file is a copy of ``spec/vectors.json``, so that a clone alone can run these tests.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

import snapdir
from snapdir.config import Config
from snapdir.errors import SnapdirError, UnsafeName
from snapdir.model.keys import manifest_key, object_key

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
SHARED = Path(os.environ.get("SNAPDIR_SHARED") or Path(__file__).parents[3] / "shared")

TREES = {vector["name"]: vector for vector in VECTORS["vectors"]}
# Names that could be pushed but never be read back are refused while walking, by decision.
REFUSED_NAMES = {"newline-name": "new\nline"}
NOTHING_LEFT = "basic-exclude-all"
OTHER_CHECKSUMS = {vector["name"]: vector for vector in VECTORS["cli_only_vectors"]}
TEXTS = {vector["name"]: vector for vector in VECTORS["parse_vectors"]}

# The content of every `./x` of the stored texts.
OBJECT = b"evil"
OBJECT_DIGEST = "cc1e030557251a13605883e0033a3f1280c1a2cb607a9d1ec19acf97458beb92"


def build(vector: dict[str, Any], folder: Path) -> Path:
    """Make the vector's tree below ``folder`` and return the path to walk."""
    root = folder / "tree"
    root.mkdir()
    for item in vector["tree"]:
        _make(item, root)
    by_depth = sorted(vector["tree"], key=lambda item: item["path"].count("/") + (item["path"] != "."), reverse=True)
    for item in by_depth:
        if "mode" in item:
            os.chmod(root / item["path"], int(item["mode"], 8))
    if vector.get("root_is_symlink"):
        link = folder / "link"
        link.symlink_to(root)
        return link
    return root


def _make(item: dict[str, Any], root: Path) -> None:
    path = root / item["path"]
    match item["type"]:
        case "dir":
            path.mkdir(exist_ok=True)
        case "file":
            path.write_bytes(_content(item))
        case "symlink":
            path.symlink_to(item["target"])
        case "hardlink":
            path.hardlink_to(root / item["target"])
        case "fifo":
            os.mkfifo(path)
        case "socket":
            _make_socket(path)


def _content(item: dict[str, Any]) -> bytes:
    if "repeat_b64" in item:
        return base64.b64decode(item["repeat_b64"]) * int(item["repeat_count"])
    return base64.b64decode(item["content_b64"])


def _make_socket(path: Path) -> None:
    # Bound by way of a descriptor: the path of a test's folder is longer than a socket's address may be.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def options(vector: dict[str, Any], root: Path) -> dict[str, Any]:
    chosen = vector["options"]
    return {
        "no_follow": chosen["no_follow"],
        "absolute": chosen["absolute"],
        "exclude": [pattern.replace("${ROOT}", str(root)) for pattern in chosen["exclude"]],
    }


@pytest.mark.parametrize("name", sorted(TREES.keys() - REFUSED_NAMES.keys() - {NOTHING_LEFT}))
def test_a_tree_has_its_manifest_and_id(name: str, tmp_path: Path) -> None:
    vector = TREES[name]
    root = build(vector, tmp_path)
    manifest = asyncio.run(snapdir.manifest(root, **options(vector, root)))
    assert manifest.raw == vector["expected_manifest"].replace("${ROOT}", str(root))
    assert asyncio.run(snapdir.id(root, **options(vector, root))) == snapdir.id_from_manifest(manifest)
    if vector["expected_id"] is not None:
        assert snapdir.id_from_manifest(manifest) == vector["expected_id"]


ROUND_TRIPS = sorted(name for name, v in TREES.items() if v["push_pull_roundtrip"] and name not in REFUSED_NAMES)


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_a_pushed_tree_lies_where_the_format_says_and_comes_back(name: str, tmp_path: Path) -> None:
    vector = TREES[name]
    root, store, config = build(vector, tmp_path), tmp_path / "store", Config(cache_dir=tmp_path / "cache")
    pushed = asyncio.run(snapdir.push(root, f"file://{store}", config=config))
    assert pushed == vector["expected_id"]
    assert (store / vector["manifest_store_path"]).read_text() == vector["expected_manifest"] + "\n"
    asyncio.run(snapdir.pull(pushed, f"file://{store}", tmp_path / "back", config=config))
    same = asyncio.run(snapdir.id(tmp_path / "back")) == pushed
    assert same == (vector["push_pull_roundtrip"] == "same-id")


def test_an_exclude_that_leaves_nothing_of_a_tree_with_files_is_refused(tmp_path: Path) -> None:
    root = build(TREES[NOTHING_LEFT], tmp_path)
    with pytest.raises(SnapdirError, match="matches the path of the tree itself"):
        asyncio.run(snapdir.manifest(root, **options(TREES[NOTHING_LEFT], root)))


@pytest.mark.parametrize("name", sorted(REFUSED_NAMES))
def test_a_name_that_could_not_be_read_back_is_refused_while_walking(name: str, tmp_path: Path) -> None:
    assert REFUSED_NAMES[name] in {item["path"] for item in TREES[name]["tree"]}
    refuse(build(TREES[name], tmp_path), REFUSED_NAMES[name], tmp_path / "store")


def test_a_name_that_ends_in_a_carriage_return_is_refused_while_walking(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "cr\r").write_bytes(b"cr")
    refuse(root, "cr\r", tmp_path / "store")


def refuse(root: Path, name: str, store: Path) -> None:
    with pytest.raises(UnsafeName) as refused:
        asyncio.run(snapdir.manifest(root))
    assert repr(name)[1:-1] in str(refused.value)
    with pytest.raises(UnsafeName):
        asyncio.run(snapdir.push(root, f"file://{store}"))
    assert not list(store.rglob(".manifests/*"))


@pytest.mark.parametrize("name", sorted(OTHER_CHECKSUMS))
def test_a_tree_has_its_manifest_with_other_checksums(name: str, tmp_path: Path) -> None:
    vector = OTHER_CHECKSUMS[name]
    kind, _, context = vector["options"]["checksum"].partition(":")
    chosen: dict[str, Any] = {"config": Config(keyed_context=context)} if context else {"checksum_bin": f"{kind}sum"}
    manifest = asyncio.run(snapdir.manifest(build(vector, tmp_path), **chosen))
    assert manifest.raw == vector["expected_manifest"]
    assert snapdir.id_from_manifest(manifest) == vector["expected_id_of_text"]


def store_with(vector: dict[str, Any], folder: Path) -> str:
    """A file store that holds the vector's text under the vector's id, and the object it names."""
    for key, content in (
        (manifest_key(vector["id"]), base64.b64decode(vector["stored_manifest_b64"])),
        (object_key(OBJECT_DIGEST), OBJECT),
    ):
        (folder / key).parent.mkdir(parents=True)
        (folder / key).write_bytes(content)
    return f"file://{folder}"


@pytest.mark.parametrize("name", sorted(name for name, vector in TEXTS.items() if vector["result"] == "ok"))
def test_a_stored_text_is_accepted(name: str, tmp_path: Path) -> None:
    vector = TEXTS[name]
    store = store_with(vector, tmp_path / "store")
    asyncio.run(snapdir.size(store, vector["id"]))
    assert asyncio.run(snapdir.verify(vector["id"], store)) is True


@pytest.mark.parametrize("name", sorted(name for name, vector in TEXTS.items() if vector["result"] == "error"))
@pytest.mark.parametrize("verb", ["verify", "fetch", "pull", "size"])
def test_a_stored_text_is_refused(name: str, verb: str, tmp_path: Path) -> None:
    vector = TEXTS[name]
    store = store_with(vector, tmp_path / "store")
    config = Config(cache_dir=tmp_path / "cache")
    calls = {
        "verify": lambda: snapdir.verify(vector["id"], store, config=config),
        "fetch": lambda: snapdir.fetch(vector["id"], store, config=config),
        "pull": lambda: snapdir.pull(vector["id"], store, tmp_path / "destination", config=config),
        "size": lambda: snapdir.size(store, vector["id"]),
    }
    with pytest.raises(SnapdirError) as refused:
        asyncio.run(calls[verb]())
    assert refused.value.code == vector["code"]
    # Ours names the store too.
    message = str(refused.value).replace(f"{store}/", "")
    assert message.startswith(vector["message"].replace("${ID}", vector["id"]))
    assert not (tmp_path / "cache" / manifest_key(vector["id"])).exists()


def test_the_text_of_a_vector_hashes_to_its_id() -> None:
    for vector in TREES.values():
        if vector["expected_id"] is not None:
            assert blake3(vector["expected_manifest"].encode() + b"\n").hexdigest() == vector["expected_id"]


def test_the_copy_is_the_specification() -> None:
    original = SHARED / "spec" / "vectors.json"
    if original.is_file():
        assert json.loads(original.read_text()) == VECTORS
