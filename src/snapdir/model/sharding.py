"""One N-th of the files of a snapshot: disjoint, complete, and about equal in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heapreplace

from snapdir.errors import InvalidOption
from snapdir.model.entry import Entry

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

    def of(self, files: Iterable[Entry]) -> list[Entry]:
        """The files of this shard. The same files, in any order, always give the same shards.

        The files go, from the largest to the smallest, to the shard with the fewest bytes: two shards differ by no more
        than the largest file. Cost: about a sort of the files.
        """
        loads = [(0, index) for index in range(1, self.count + 1)]
        heapify(loads)
        mine = []
        for entry in sorted(files, key=lambda entry: (-entry.size, entry.path)):
            load, index = loads[0]
            if index == self.index:
                mine.append(entry)
            # One more than its size, to distribute empty files too.
            heapreplace(loads, (load + entry.size + 1, index))
        return mine
