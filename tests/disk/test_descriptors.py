"""How many descriptors one purpose may use, and the path of a descriptor."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapdir.disk.descriptors import MIN_SHARE, RESERVED, share_of_descriptors
from snapdir.disk.system import path_of_descriptor


@pytest.fixture
def limit() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def leave_free(count: int) -> None:
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + count, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(
    ("free", "max_count", "share"),
    [
        (RESERVED + 400, 1000, 100),
        (RESERVED + 400, 50, 50),
        (RESERVED + 4 * MIN_SHARE, 50, MIN_SHARE),
        (0, 50, MIN_SHARE),
    ],
)
def test_a_purpose_gets_a_quarter_of_what_is_left(free: int, max_count: int, share: int) -> None:
    leave_free(free)
    assert share_of_descriptors(max_count) == share


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(("number", "share"), [(errno.EMFILE, MIN_SHARE), (errno.ENOENT, 50)])
def test_without_a_list_of_them_none_or_all_are_left(monkeypatch: pytest.MonkeyPatch, number: int, share: int) -> None:
    def fails(_: str) -> list[str]:
        raise OSError(number, os.strerror(number))

    leave_free(RESERVED + 4 * 50)
    monkeypatch.setattr(os, "listdir", fails)
    assert share_of_descriptors(50) == share


def test_without_a_limit_the_most_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert share_of_descriptors(12_345) == 12_345


def test_a_descriptor_is_named_by_its_file(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert path_of_descriptor(descriptor) == str(tmp_path)
    os.close(descriptor)
    assert path_of_descriptor(descriptor) == f"file descriptor {descriptor}"


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(("max_open_files", "share"), [(0, 50), (32, 4), (64, 12), (116, 25), (10_000, 50)])
def test_a_transfer_may_be_given_fewer(max_open_files: int, share: int) -> None:
    leave_free(RESERVED + 4 * 50)
    assert share_of_descriptors(1000, max_open_files) == share


def test_a_transfer_is_given_fewer_where_nothing_else_limits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert share_of_descriptors(1000, 64) == 12
