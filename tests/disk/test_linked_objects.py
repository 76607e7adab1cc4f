"""A link into a store names its object, which is trusted or compared with its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapdir.disk.linked_objects import LinkedObjects
from snapdir.errors import CorruptObject
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key, object_key

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "real").mkdir()
    (tmp_path / "store").symlink_to("real")
    return tmp_path / "store"


def link(folder: Path, target: str) -> str:
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(target)
    return str(folder / "link")


@pytest.mark.parametrize("root", ["store", "real", "store/", "./store"])
def test_a_link_into_a_store_tells_its_digest_by_every_spelling_of_the_store(
    store: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    linked = LinkedObjects([root], trusted=True)
    assert linked.digest_of(link(store.parent, f"{store.resolve()}/{object_key(DIGEST)}")) == DIGEST
    if root != "real":
        assert linked.digest_of(link(store.parent, f"{store}/{object_key(DIGEST)}")) == DIGEST


@pytest.mark.parametrize("target", ["elsewhere", "store2", "store"])
def test_any_other_link_tells_none(store: Path, target: str) -> None:
    key = manifest_key(DIGEST) if target == "store" else object_key(DIGEST)
    linked = LinkedObjects([str(store)], trusted=True)
    assert linked.digest_of(link(store.parent, f"{store.parent}/{target}/{key}")) is None
    assert LinkedObjects([], trusted=True).digest_of(link(store.parent, f"{store}/{object_key(DIGEST)}")) is None


def test_a_trusted_link_is_an_entry_and_is_not_read(store: Path) -> None:
    linked = LinkedObjects([str(store)], trusted=True)
    assert linked.take(link(store.parent, f"{store}/{object_key(DIGEST)}"), "./x", "777", 5)
    assert not linked.take(link(store.parent, "elsewhere"), "./y", "777", 5)
    assert [file.entry for file in linked.take_unread()] == [Entry("F", "777", DIGEST, 5, "./x")]
    assert linked.take_unread() == []
    linked.compare("./x", "1" * 64)
    linked.check()


def test_any_other_is_read_and_has_to_agree(store: Path) -> None:
    linked = LinkedObjects([str(store)], trusted=False)
    name = link(store.parent, f"{store}/{object_key(DIGEST)}")
    assert not linked.take(name, "./x", "777", 5)
    assert linked.take_unread() == []
    linked.compare("./x", DIGEST)
    linked.compare("./y", "1" * 64)
    linked.check()
    linked.compare("./x", "1" * 64)
    with pytest.raises(CorruptObject, match="a link to the object"):
        linked.check()
