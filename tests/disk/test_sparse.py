"""Runs of zeros are not written, and holes stay holes when a file is copied."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.disk.clone import copy_contents
from snapdir.disk.sparse import ZERO_RUN_BYTES, write_at
from snapdir.errors import InFluxError

RUN = ZERO_RUN_BYTES
PAGE = 4096
MIB = 1 << 20


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "target", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def occupied(descriptor: int) -> int:
    return os.fstat(descriptor).st_blocks * 512


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size + 1, 0)


def data(length: int) -> bytes:
    return random.Random(length).randbytes(length).replace(b"\0", b"\1")


@pytest.mark.parametrize(
    "pieces",
    [
        (bytes(RUN),),
        (data(PAGE), bytes(RUN), data(PAGE)),
        (data(5 * PAGE), bytes(RUN), data(10)),
        (bytes(2 * RUN), data(PAGE), bytes(3 * RUN)),
        (data(RUN), bytes(4 * MIB)),
        (bytes(MIB + 17),),
        (data(RUN), bytes(RUN), data(RUN), bytes(RUN), data(RUN)),
    ],
    ids=lambda pieces: "-".join(f"{'zeros' if not any(piece) else 'data'}{len(piece)}" for piece in pieces),
)
def test_long_runs_of_zeros_take_no_room(target: int, pieces: tuple[bytes, ...]) -> None:
    whole = b"".join(pieces)
    write_at(target, memoryview(whole), 0)
    assert content(target) == whole
    written = sum(len(piece) for piece in pieces if any(piece))
    assert occupied(target) <= written + PAGE * (len(pieces) + 1)


def test_zeros_before_what_is_there_take_no_room(target: int) -> None:
    os.pwrite(target, data(PAGE), MIB)
    write_at(target, memoryview(bytes(RUN)), 0)
    assert content(target) == bytes(MIB) + data(PAGE)
    assert occupied(target) <= 2 * PAGE


@pytest.mark.parametrize(
    "whole",
    [b"", b"\0", bytes(RUN - 1), data(MIB), data(RUN // 2) + bytes(RUN - PAGE) + data(RUN)],
    ids=["nothing", "one", "short", "data", "short-run"],
)
def test_anything_else_is_written(target: int, whole: bytes) -> None:
    write_at(target, memoryview(whole), 0)
    assert content(target) == whole
    assert occupied(target) >= len(whole)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_written_reads_back(target: int, seed: int) -> None:
    drawn = random.Random(seed)
    whole = b"".join(
        bytes(drawn.randrange(4 * RUN)) if drawn.random() < 0.5 else drawn.randbytes(drawn.randrange(RUN))
        for _ in range(12)
    )
    places = sorted({0, len(whole), *(drawn.randrange(len(whole)) for _ in range(3))})
    ranges = list(itertools.pairwise(places))
    drawn.shuffle(ranges)
    for start, end in ranges:
        write_at(target, memoryview(whole)[start:end], start)
    assert content(target) == whole


def test_zeros_replace_what_is_there(target: int) -> None:
    os.pwrite(target, data(4 * RUN), 0)
    write_at(target, memoryview(bytes(2 * RUN)), RUN)
    assert content(target) == data(4 * RUN)[:RUN] + bytes(2 * RUN) + data(4 * RUN)[3 * RUN :]


def test_nothing_behind_is_cut_off(target: int) -> None:
    os.pwrite(target, b"behind", 10 * RUN)
    write_at(target, memoryview(bytes(2 * RUN)), RUN)
    assert content(target) == bytes(10 * RUN) + b"behind"


def sparse_file(path: Path) -> tuple[int, bytes]:
    """A hole, data, a hole, data, a hole; open."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, 12 * MIB)
    os.pwrite(descriptor, data(PAGE), 4 * MIB)
    os.pwrite(descriptor, data(PAGE), 8 * MIB)
    return descriptor, bytes(4 * MIB) + data(PAGE) + bytes(4 * MIB - PAGE) + data(PAGE) + bytes(4 * MIB - PAGE)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_holes_stay_holes(tmp_path: Path, target: int, monkeypatch: pytest.MonkeyPatch, in_kernel: bool) -> None:
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range")
    source, whole = sparse_file(tmp_path / "source")
    copy_contents(source, target, len(whole), clone=False)
    assert content(target) == whole
    assert occupied(target) <= MIB
    assert os.lseek(source, 0, os.SEEK_CUR) == 0
    os.close(source)


def test_a_range_of_a_sparse_file_is_copied(tmp_path: Path, target: int) -> None:
    source, whole = sparse_file(tmp_path / "source")
    os.pwrite(target, data(8 * MIB), 0)
    copy_contents(source, target, 5 * MIB, offset=3 * MIB, target_offset=MIB)
    assert content(target) == data(8 * MIB)[:MIB] + whole[3 * MIB : 8 * MIB] + data(8 * MIB)[6 * MIB :]
    os.close(source)


def test_a_sparse_file_that_shrank_is_in_flux(tmp_path: Path, target: int) -> None:
    source, whole = sparse_file(tmp_path / "source")
    os.ftruncate(source, 9 * MIB)
    with pytest.raises(InFluxError, match="shrank"):
        copy_contents(source, target, len(whole), clone=False)
    os.close(source)


def test_where_nobody_tells_of_holes_all_is_copied(
    tmp_path: Path, target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "SEEK_DATA")
    source, whole = sparse_file(tmp_path / "source")
    copy_contents(source, target, len(whole), clone=False)
    write_at(target, memoryview(bytes(2 * RUN)), 4 * MIB)
    assert content(target) == whole[: 4 * MIB] + bytes(2 * RUN) + whole[4 * MIB + 2 * RUN :]
    os.close(source)
