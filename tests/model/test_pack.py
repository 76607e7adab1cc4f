"""The grammar of packs: one spelling for everything; anything else is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from snapdir.errors import InvalidPack, SnapdirError
from snapdir.model.digest import Digest
from snapdir.model.pack import (
    END,
    MANIFEST,
    MAX_LINE_BYTES,
    MAX_MANIFEST_BYTES,
    OBJECT,
    PackParser,
    PayloadBlock,
    RecordEnd,
    RecordStart,
    parse_digests,
    record_line,
)

DIGEST = Digest("ab" * 32)


def records(blocks: Iterator[bytes] | list[bytes]) -> list[tuple[RecordStart, bytes]]:
    """What a complete pack holds."""
    parser = PackParser()
    found: list[tuple[RecordStart, bytes]] = []
    start, payload = None, b""
    for block in blocks:
        for event in parser.feed(block):
            if isinstance(event, RecordStart):
                start, payload = event, b""
            elif isinstance(event, PayloadBlock):
                payload += bytes(event.data)
            elif isinstance(event, RecordEnd) and start is not None:
                found.append((start, payload))
    parser.close()
    return found


def body(payloads: list[bytes], manifest: bytes | None = None) -> bytes:
    written = [record_line(OBJECT, Digest(blake3(data).hexdigest()), len(data)) + data for data in payloads]
    if manifest is not None:
        written.append(record_line(MANIFEST, Digest(blake3(manifest).hexdigest()), len(manifest)) + manifest)
    return b"".join(written) + END


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=6),
    manifest=st.none() | st.binary(max_size=300),
    cuts=st.lists(st.integers(min_value=1, max_value=97), min_size=1, max_size=9),
)
def test_what_is_written_is_read_however_it_is_cut(
    payloads: list[bytes], manifest: bytes | None, cuts: list[int]
) -> None:
    pack = body(payloads, manifest)
    blocks, at = [], 0
    while at < len(pack):
        length = cuts[len(blocks) % len(cuts)]
        blocks.append(pack[at : at + length])
        at += length
    found = records(blocks)
    assert [data for _, data in found] == [*payloads, *([] if manifest is None else [manifest])]
    assert all(start.length == len(data) for start, data in found)


@given(st.binary(max_size=400))
def test_bytes_that_are_no_pack_are_refused(data: bytes) -> None:
    try:
        found = records([data])
    except InvalidPack:
        return
    assert body([payload for _, payload in found]).startswith(data[:4])


@pytest.mark.parametrize("length", range(len(body([b"one", b""], b"text"))))
def test_a_pack_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidPack, match="ends before its last line"):
        records([body([b"one", b""], b"text")[:length]])


@pytest.mark.parametrize(
    "line",
    [
        f"obj {DIGEST.upper()} 1\nx",
        f"obj {DIGEST[:63]} 1\nx",
        f"obj {'../' * 21}a 1\nx",
        f"obj {'%2f' * 21}a 1\nx",
        f"obj /{DIGEST[1:]} 1\nx",
        f"obj {DIGEST} 01\nx",
        f"obj {DIGEST} +1\nx",
        f"obj {DIGEST} -1\nx",
        f"obj {DIGEST} 1 \nx",
        f"obj  {DIGEST} 1\nx",
        f"obj {DIGEST} 1\r\nx",
        f"obj {DIGEST}\n",
        f"obj {DIGEST} {2**64}\n",
        f"object {DIGEST} 1\nx",
        "END\n",
        "\n",
        " end\n",
    ],
)
def test_a_record_has_one_spelling(line: str) -> None:  # PLB-08
    with pytest.raises(InvalidPack):
        records([line.encode() + END])


def test_a_line_is_bounded() -> None:
    for blocks in ([b"a" * (MAX_LINE_BYTES + 1)], [b"a"] * (MAX_LINE_BYTES + 1)):
        with pytest.raises(InvalidPack, match="longer than 128 bytes"):
            records(blocks)


def test_a_manifest_is_bounded() -> None:
    assert list(PackParser().feed(record_line(MANIFEST, DIGEST, MAX_MANIFEST_BYTES)))
    with pytest.raises(InvalidPack, match=r"longer than the 64\.0 MiB"):
        list(PackParser().feed(record_line(MANIFEST, DIGEST, MAX_MANIFEST_BYTES + 1)))


def test_nothing_but_the_end_follows_a_manifest() -> None:
    manifest = record_line(MANIFEST, DIGEST, 1) + b"m"
    for more in (manifest, record_line(OBJECT, DIGEST, 1) + b"o"):
        with pytest.raises(InvalidPack, match="follows the manifest"):
            records([manifest + more + END])


@pytest.mark.parametrize("more", [b"\n", END, b"\0"])
def test_nothing_follows_the_end(more: bytes) -> None:
    for blocks in ([END + more], [END, more]):
        with pytest.raises(InvalidPack, match="follows its last line"):
            records(blocks)


def test_a_list_of_digests_keeps_its_order_without_repeats() -> None:
    other = Digest("cd" * 32)
    assert parse_digests(f"{other}\n\n{DIGEST}\n{other}\n \n{DIGEST}".encode()) == [other, DIGEST]
    assert parse_digests(b"") == []


@pytest.mark.parametrize("line", [DIGEST.upper(), DIGEST[1:], DIGEST + "0", "g" * 64, f" {DIGEST}", f"{DIGEST}\r"])
def test_a_list_with_a_malformed_line_is_refused_whole(line: str) -> None:  # PLB-03, PLB-12
    with pytest.raises(SnapdirError, match="line 2 of the ids"):
        parse_digests(f"{DIGEST}\n{line}\n".encode())
