"""What a transfer may use of this machine."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.config import Config
from snapdir.errors import InvalidOption
from snapdir.stores.base import Capabilities
from snapdir.stores.memory import MemoryStore
from snapdir.transfer.engine import limits as resolved
from snapdir.transfer.engine.limits import (
    DEFAULT_MEMORY_BYTES,
    DEFAULT_PART_BYTES,
    MAX_HASH_THREADS,
    MAX_WORKER_PROCESSES,
    MEMORY_SHARE,
    Limits,
    memory_limit,
    memory_share,
)

MIB = 1 << 20


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


sizes = st.one_of(st.none(), st.integers(0, 1 << 50))


@given(chosen=st.one_of(st.none(), st.integers(DEFAULT_PART_BYTES, 1 << 50)), cgroup=sizes, address=sizes)
def test_memory_is_what_was_chosen_else_an_eighth_of_the_smaller_limit_else_the_default(
    chosen: int | None, cgroup: int | None, address: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolved, "cgroup_memory_bytes", lambda: cgroup)
        patch.setattr(resolved, "_address_bytes", lambda: address)
        memory_bytes = Config().with_options(memory=chosen).limits.memory_bytes
    if chosen is not None:
        assert memory_bytes == chosen
        return
    limit = memory_limit(cgroup, address)
    share = memory_share(limit)
    assert memory_bytes == share.value
    if limit is None:
        assert share == (DEFAULT_MEMORY_BYTES, "default")
        return
    assert limit.value == min(size for size in (cgroup, address) if size is not None)
    assert limit.source == ("cgroup" if limit.value == cgroup else "rlimit")
    assert DEFAULT_PART_BYTES <= share.value <= DEFAULT_MEMORY_BYTES
    assert share.value <= max(DEFAULT_PART_BYTES, limit.value // MEMORY_SHARE)
    assert share.source in (limit.source, "default")


@pytest.mark.parametrize(("limit", "memory"), [(256, 32), (512, 64), (1023, 127), (1024, 128), (65536, 128), (10, 8)])
def test_limited_memory_in_figures(limit: int, memory: int) -> None:
    assert memory_share(memory_limit(limit * MIB, None)).value == memory * MIB


@pytest.mark.parametrize("count", [1, 31, -1])
def test_too_few_open_files_are_refused(count: int) -> None:
    with pytest.raises(InvalidOption, match="max_open_files"):
        Config().with_options(max_open_files=count)


@pytest.mark.parametrize("count", [0, 32, 1 << 40])
def test_open_files_are_kept(count: int) -> None:
    assert Config().with_options(max_open_files=count).limits.max_open_files == count
