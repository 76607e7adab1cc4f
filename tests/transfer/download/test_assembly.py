"""One object from segments in any order, by any number of runs: the bytes, the hash and the journal are right."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from snapdir.model.digest import Digest
from snapdir.model.sizes import MIB
from snapdir.transfer.download.assembly import Assembly, Segment
from snapdir.transfer.engine.planned_objects import PlannedObject

CONTENT = random.Random(7).randbytes(6 * MIB)


@contextmanager
def temporary() -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        yield file.fileno()


def begin(descriptor: int, size: int, part_bytes: int) -> Assembly:
    digest = Digest(blake3(CONTENT[:size]).hexdigest())
    return Assembly(PlannedObject(digest, size, "./large"), size, descriptor, part_bytes)


@dataclass
class Stream:
    """One request for a segment, as far as it has come."""

    segment: Segment
    done: int = 0

    def write(self, assembly: Assembly, length: int) -> bool:
        """Write up to so many bytes more; whether that was all."""
        start = self.segment.offset + self.done
        data = CONTENT[start : start + min(length, self.segment.length - self.done)]
        assembly.write(self.segment, memoryview(data), self.done)
        self.done += len(data)
        return self.done == self.segment.length


def missing_parts(descriptor: int, size: int, part_bytes: int) -> list[int]:
    """The parts that a new run would fetch."""
    looking = begin(descriptor, size, part_bytes)
    parts = []
    while looking.has_missing:
        segment = looking.take(1)
        parts += range(segment.first, segment.end)
    return parts


class Run:
    """Runs on one temporary, the last one alive; and what they have written."""

    def __init__(self, descriptor: int, size: int, part_bytes: int) -> None:
        self.descriptor, self.size, self.part_bytes = descriptor, size, part_bytes
        self.whole_parts: set[int] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        self.assembly = begin(self.descriptor, self.size, self.part_bytes)
        self.streams: list[Stream] = []
        assert self.assembly.written_bytes == sum(self.length(part) for part in self.whole_parts)

    def length(self, part: int) -> int:
        return min(self.part_bytes, self.size - part * self.part_bytes)

    def take(self, most_parts: int) -> None:
        if self.assembly.has_missing:
            segment = self.assembly.take(most_parts)
            assert segment.offset == segment.first * self.part_bytes
            assert segment.length == sum(self.length(part) for part in range(segment.first, segment.end))
            assert 1 <= segment.end - segment.first <= most_parts
            assert self.whole_parts.isdisjoint(range(segment.first, segment.end))
            self.streams.append(Stream(segment))

    def write(self, stream: Stream, length: int) -> None:
        whole = stream.write(self.assembly, length)
        self.note_whole(stream)
        if whole:
            self.streams.remove(stream)
            self.assembly.finish(stream.segment, stream.done)

    def note_whole(self, stream: Stream) -> None:
        end = stream.segment.offset + stream.done
        parts = range(stream.segment.first, stream.segment.end)
        self.whole_parts |= {part for part in parts if part * self.part_bytes + self.length(part) <= end}

    def hedge(self, stream: Stream) -> None:
        """A second request brings what the stream lacks, before it."""
        own_bytes = stream.done
        rest = Stream(self.assembly.rest_of(stream.segment, own_bytes))
        rest.write(self.assembly, self.size)
        stream.done += rest.done
        self.streams.remove(stream)
        self.assembly.finish(stream.segment, own_bytes)
        self.note_whole(stream)

    def hash(self) -> None:
        if self.assembly.begin_hashing():
            assert not self.assembly.begin_hashing(), "one at a time"
            self.assembly.hash_written(lambda: None)

    def check_journal(self) -> None:
        missing = missing_parts(self.descriptor, self.size, self.part_bytes)
        assert missing == sorted(set(range(-(-self.size // self.part_bytes))) - self.whole_parts)

    def end(self) -> None:
        while self.assembly.has_missing or self.streams:
            self.take(2)
            for stream in tuple(self.streams):
                self.write(stream, self.size)
        while not self.assembly.is_settled:
            self.hash()
        assert self.assembly.actual == self.assembly.planned.digest
        assert self.assembly.written_bytes == self.size
        self.assembly.cut_journal()
        assert os.pread(self.descriptor, self.size + 1, 0) == CONTENT[: self.size]


events = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 5)),
    st.tuples(st.just("write"), st.integers(0, 9), st.integers(1, 400)),
    st.tuples(st.just("finish"), st.integers(0, 9)),
    st.tuples(st.just("hedge"), st.integers(0, 9)),
    st.just(("hash",)),
    st.just(("kill",)),
    st.just(("look",)),
)


@given(size=st.integers(1, 2000), part_bytes=st.integers(1, 2500), schedule=st.lists(events, max_size=40))
def test_any_order_of_events_gives_the_content_its_hash_and_a_true_journal(
    size: int, part_bytes: int, schedule: list[tuple[str, int, int]]
) -> None:
    part_bytes = max(part_bytes, size // 50)
    with temporary() as descriptor:
        run = Run(descriptor, size, part_bytes)
        for kind, *numbers in schedule:
            if kind == "take":
                run.take(numbers[0])
            elif kind in ("write", "finish") and run.streams:
                stream = run.streams[numbers[0] % len(run.streams)]
                run.write(stream, size if kind == "finish" else numbers[1])
            elif kind == "hedge" and run.streams:
                run.hedge(run.streams[numbers[0] % len(run.streams)])
            elif kind == "hash":
                run.hash()
            elif kind == "kill":
                run.begin_anew()
            elif kind == "look":
                run.check_journal()
        run.check_journal()
        run.end()


@given(order=st.permutations(range(12)), hash_between=st.booleans())
def test_parts_may_end_in_any_order(order: list[int], hash_between: bool) -> None:
    with temporary() as descriptor:
        run = Run(descriptor, 1150, 100)
        while run.assembly.has_missing:
            run.take(1)
        streams = list(run.streams)
        for number in order:
            run.write(streams[number], 100)
            if hash_between:
                run.hash()
        run.end()


@pytest.mark.parametrize("most_parts", [1, 2, 99])
def test_what_comes_in_order_is_hashed_as_it_comes(most_parts: int) -> None:
    with temporary() as descriptor:
        assembly = begin(descriptor, 1150, 100)
        while assembly.has_missing:
            stream = Stream(assembly.take(most_parts))
            assert stream.segment.hashed_live
            stream.write(assembly, 2000)
            assembly.finish(stream.segment, stream.done)
            assert not assembly.begin_hashing()
        assert assembly.is_settled
        assert assembly.actual == assembly.planned.digest


def test_only_one_of_several_streams_hashes_as_it_comes() -> None:
    with temporary() as descriptor:
        assembly = begin(descriptor, 1000, 100)
        segments = [assembly.take(3) for _ in range(4)]
        assert [segment.hashed_live for segment in segments] == [True, False, False, False]
        assert assembly.streams == 4
        assert not assembly.has_missing


def test_parts_longer_than_a_block_are_hashed_from_the_file() -> None:
    size, part_bytes = 6 * MIB - 5, 5 * MIB // 2
    with temporary() as descriptor:
        run = Run(descriptor, size, part_bytes)
        for _ in range(3):
            run.take(1)
        first, second, third = run.streams
        for stream in (third, second):
            while stream in run.streams:
                run.write(stream, MIB)
        run.hash()
        assert not run.assembly.is_hashed
        run.write(first, size)
        run.end()


def test_bytes_that_are_wrong_or_gone_give_another_hash() -> None:
    for spoil in (lambda fd: os.pwrite(fd, b"\0\0\0", 150), lambda fd: os.ftruncate(fd, 120)):
        with temporary() as descriptor:
            run = Run(descriptor, 1000, 100)
            run.take(1)
            run.take(99)
            for stream in reversed(tuple(run.streams)):
                run.write(stream, 1000)
            spoil(descriptor)
            run.hash()
            assert run.assembly.is_settled
            assert run.assembly.actual != run.assembly.planned.digest


@given(
    rest=st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: CONTENT[:20] + rest),
    part_bytes=st.integers(1, 30),
)
def test_whatever_the_file_held_before_the_hash_decides(rest: bytes, part_bytes: int) -> None:
    size = 20
    with temporary() as descriptor:
        os.pwrite(descriptor, rest, 0)
        assembly = begin(descriptor, size, part_bytes)
        while assembly.has_missing:
            stream = Stream(assembly.take(99))
            stream.write(assembly, size)
            assembly.finish(stream.segment, stream.done)
        while assembly.begin_hashing():
            assembly.hash_written(lambda: None)
        assert assembly.is_settled
        assembly.cut_journal()
        right = os.pread(descriptor, 99, 0) == CONTENT[:size]
        assert (assembly.actual == assembly.planned.digest) == right


def test_other_parts_begin_anew_and_so_does_another_size() -> None:
    with temporary() as descriptor:
        run = Run(descriptor, 1000, 100)
        run.take(5)
        run.write(run.streams[0], 1000)
        assert missing_parts(descriptor, 1000, 100) == [5, 6, 7, 8, 9]
        assert missing_parts(descriptor, 1000, 200) == [0, 1, 2, 3, 4]
        assert missing_parts(descriptor, 1000, 100) == [*range(10)], "the parts of another size were forgotten"


def test_an_object_that_is_abandoned_wants_no_more_and_says_why() -> None:
    with temporary() as descriptor:
        assembly = begin(descriptor, 1000, 100)
        first, second, third = (Stream(assembly.take(2)) for _ in range(3))
        second.write(assembly, 999)
        assembly.finish(second.segment, second.done)
        assembly.abandon(first.segment, "an object of only 10 bytes")
        assert not assembly.has_missing
        assert not assembly.begin_hashing()
        assert not assembly.is_settled, "the third is in flight"
        third.write(assembly, 999)
        assembly.finish(third.segment, third.done)
        assert assembly.is_settled
        assert assembly.actual == "an object of only 10 bytes"
        assert assembly.written_bytes == 400
