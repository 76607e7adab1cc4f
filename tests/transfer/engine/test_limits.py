"""What a transfer may use of this machine."""

from __future__ import annotations

import os

import pytest

from snapdir.transfer.engine.limits import MAX_HASH_THREADS, Limits


@pytest.mark.parametrize(
    ("cpus", "hashers"), [(1, 1), (3, 3), (MAX_HASH_THREADS, MAX_HASH_THREADS), (64, MAX_HASH_THREADS)]
)
def test_hashing_takes_the_cpus_that_this_process_may_use(
    cpus: int, hashers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cpus)))
    assert Limits().hashers == hashers
    assert Limits(hash_threads=40).hashers == 40, "who asks for more gets it"
