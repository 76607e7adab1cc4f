"""What the machine is short of is named with the way out."""

from __future__ import annotations

import errno
import os

import pytest

from snapdir.errors import local_error
from snapdir.stores.file.failures import store_error

SHORTAGES = [
    (errno.EMFILE, ("ulimit -n", "--max-open-files")),
    (errno.ENFILE, ("ulimit -n", "--max-open-files")),
    (errno.ENOMEM, ("--memory", "ulimit -v")),
    (errno.ENOSPC, ("free some space",)),
    (errno.EDQUOT, ("free some space",)),
]


@pytest.mark.parametrize(("number", "words"), SHORTAGES)
def test_a_shortage_names_the_path_and_the_way_out(number: int, words: tuple[str, ...]) -> None:
    error = OSError(number, os.strerror(number), "/a/file")
    for told in (local_error(error, "/a/file"), store_error(error, "/a", "file", writing=True)):
        for word in ("/a/file", *words):
            assert word in str(told)
