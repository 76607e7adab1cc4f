"""Notes about unfinished uploads help the next run and never hinder this one."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snapdir.transfer.upload.journal import UploadJournal

DIGEST = "d" * 64


@contextmanager
def nothing_can_be_written() -> Iterator[None]:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_a_disk_that_takes_nothing_is_no_failure(tmp_path: Path) -> None:
    entry = UploadJournal(tmp_path, "s3://bucket").open(DIGEST, 8)
    with nothing_can_be_written():
        entry.note("token", 0)
    assert entry.token() is None
    entry.close()
