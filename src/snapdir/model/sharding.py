"""One N-th of the files of a snapshot: disjoint, complete, and about equal in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heapreplace

from snapdir.errors import InvalidOption

MAX_SHARDS = 100_000
_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Shard:
    """Number ``index``, from 1, of ``count`` shards. ``str()`` is how it is typed: ``1/8``."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str, source: str = "shard") -> Shard:
        """
        Raises:
            InvalidOption: not I/N with 1 <= I <= N; the message names ``source``.
        """
        matched = _SHARD(text)
        index, count = (int(matched[1]), int(matched[2])) if matched else (0, 0)
        if not 1 <= index <= count <= MAX_SHARDS:
            raise InvalidOption(
                f"invalid {source} '{text}': expected I/N with I from 1 to N, e.g. 1/8, and N up to {MAX_SHARDS}"
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def takes(self, sizes: Iterable[int]) -> bytearray:
        """For each file, by its size, 1 if it belongs to this shard, else 0.

        The files go, from the largest to the smallest, to the shard with the fewest bytes: two shards differ by no more
        than the largest file.

        Args:
            sizes: In the order of the files' paths: the same files then give the same shards everywhere.
        Cost: about a sort of the files, and 60 bytes for each.
        """
        all_sizes = list(sizes)
        loads = [(0, index) for index in range(1, self.count + 1)]
        heapify(loads)
        taken = bytearray(len(all_sizes))
        for position in sorted(range(len(all_sizes)), key=all_sizes.__getitem__, reverse=True):  # stable
            load, index = loads[0]
            taken[position] = index == self.index
            # One more than its size, to distribute empty files too.
            heapreplace(loads, (load + all_sizes[position] + 1, index))
        return taken
