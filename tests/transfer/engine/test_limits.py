"""What a transfer may use of this machine."""

from __future__ import annotations

import os

import pytest

from snapdir.stores.base import Capabilities
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine.limits import MAX_HASH_THREADS, MAX_WORKER_PROCESSES, Limits


@pytest.mark.parametrize(
    ("cpus", "hashers"), [(1, 1), (3, 3), (MAX_HASH_THREADS, MAX_HASH_THREADS), (64, MAX_HASH_THREADS)]
)
def test_hashing_takes_the_cpus_that_this_process_may_use(
    cpus: int, hashers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cpus)))
    assert Limits().hashers == hashers
    assert Limits().hash_processes == min(hashers - 1, MAX_WORKER_PROCESSES)
    assert Limits(hash_threads=40).hashers == 40, "who asks for more gets it"


def test_a_store_on_this_host_does_not_hold_back_one_across_a_network() -> None:
    here = MemoryStore(capabilities=Capabilities(max_concurrency=8, remote=False))
    far = MemoryStore(capabilities=Capabilities(max_concurrency=256))
    farther = MemoryStore(capabilities=Capabilities(max_concurrency=64))
    assert Limits().workers(here) == 8
    assert Limits().workers(far, here) == Limits().workers(here, far) == 256
    assert Limits().workers(far, farther) == 64
    assert Limits(jobs=4).workers(far, here) == 4


def test_workers_are_bounded_by_what_is_asked_for() -> None:
    assert Limits(hash_threads=1).hash_processes == 0, "one thread is asked for"
    assert Limits(worker_processes=0).hash_processes == 0
    assert Limits(hash_threads=1, worker_processes=12).hash_processes == 12
