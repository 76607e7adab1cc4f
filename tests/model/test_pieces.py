"""A long text in pieces: cut at lines, in memory or in a file, read by anyone at any time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import snapdir
from snapdir.model import pieces as module
from snapdir.model.entry import Entry
from snapdir.model.manifest import Manifest, ManifestReader
from snapdir.model.pieces import Pieces, whole_lines

LINES = [b"F 644 %064x %d ./f%05d\n" % (number, number, number) for number in range(3000)]
TEXT = b"".join(LINES)


@pytest.fixture
def in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of more than 10,000 bytes go to a file."""
    monkeypatch.setattr(module, "MEMORY_BYTES", 10_000)
    monkeypatch.setattr(module, "BLOCK_BYTES", 3_000)


@given(st.lists(st.text("ab\n", max_size=20).map(str.encode)), st.integers(1, 10))
def test_the_blocks_are_the_text_in_whole_lines(pieces: list[bytes], block_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block_bytes)
        blocks = list(whole_lines(pieces))
    assert b"".join(blocks) == b"".join(pieces)
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    longest = max((len(line) for line in b"".join(pieces).split(b"\n")), default=0) + 1
    assert all(len(block) <= 2 * block_bytes + longest for block in blocks)


@pytest.mark.usefixtures("in_a_file")
def test_a_long_text_lies_in_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))
    text = Pieces.of([TEXT])
    assert text.file is not None
    assert os.pread(text.file, len(TEXT) + 1, 0) == TEXT
    assert not os.listdir(tmp_path)
    assert (b"".join(text), text.length, text.lines) == (TEXT, len(TEXT), 3000)
    assert all(block.endswith(b"\n") for block in text)
    del text
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_short_text_needs_no_file() -> None:
    assert Pieces.of([TEXT]).file is None


@pytest.mark.usefixtures("in_a_file")
def test_without_room_for_a_file_the_text_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    text = Pieces.of([TEXT])
    assert (text.file, b"".join(text)) == (None, TEXT)


FULL = """
import resource, sys
from snapdir.model import pieces
pieces.MEMORY_BYTES, pieces.BLOCK_BYTES = 10_000, 3_000
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
text = pieces.Pieces.of([sys.stdin.buffer.read()])
assert text.file is None
sys.stdout.buffer.write(b"".join(text))
"""


def test_when_the_file_cannot_grow_the_rest_stays_in_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        input=TEXT,
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(snapdir.__file__).parents[1])},
    )
    assert (done.stdout, done.stderr) == (TEXT, b"")


@pytest.mark.usefixtures("in_a_file")
def test_many_readers_read_one_manifest_at_the_same_time() -> None:
    manifest = Manifest.parse(TEXT)
    assert manifest.descriptor is not None
    expected = Manifest.parse(TEXT).entries
    one, other = iter(manifest), iter(manifest)
    assert [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]] == []
    found: list[tuple[snapdir.ManifestEntry, ...]] = []
    readers = [threading.Thread(target=lambda: found.append(tuple(manifest))) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [expected] * 4


@pytest.mark.usefixtures("in_a_file")
@pytest.mark.parametrize("cut", [1, 50, 4_000, len(TEXT)])
def test_a_text_that_comes_in_pieces_is_parsed_as_a_whole_one(cut: int) -> None:
    for text in (TEXT, TEXT[:-1], TEXT + b"# the end\n", b"".join(reversed(LINES)), TEXT.replace(b"\n", b"\r\n")):
        reader = ManifestReader()
        for start in range(0, len(text), cut):
            reader.feed(text[start : start + cut])
        assert reader.finish().stored == TEXT


@pytest.mark.usefixtures("in_a_file")
def test_a_file_is_found_among_many() -> None:
    manifest = Manifest.parse(TEXT)
    assert all(manifest.find_file(entry.path) == entry for entry in manifest)
    assert [manifest.find_file(path) for path in ("./f", "./f02999x", "./f00000 ", "f00000", "", "~", "\ud800")] == [
        None
    ] * 7
    assert Manifest([]).find_file("./f") is None


@given(st.lists(st.tuples(st.sampled_from("FD"), st.sampled_from(["a", "a a", "b a", "b"])), max_size=8))
def test_the_last_file_of_a_path_is_found(listed: list[tuple[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", 10)
        manifest = Manifest(Entry(kind, "644", "aa", size, path) for size, (kind, path) in enumerate(listed))
    for path in ("a", "a a", "b a", "b", " a", "c"):
        found = [entry for entry in manifest.files if entry.path == path]
        assert manifest.find_file(path) == (found[-1] if found else None)


def test_a_whole_manifest_is_made_of_pieces_of_its_text() -> None:
    assert Manifest.from_pieces(LINES) == Manifest.parse(TEXT)
    assert Manifest.from_pieces([TEXT]).stored == TEXT
    assert len(Manifest.from_pieces(LINES)) == 3000
    assert Manifest.from_pieces([]) == Manifest([]) == Manifest.from_pieces([b"\n"])
