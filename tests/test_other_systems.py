"""Parts of the suite without Linux-only calls and without /proc: see ``other_systems/sitecustomize.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
ABOUT_LINUX = (
    "in_kernel or kernel or range_can_land or short_writes or shrank or between_two_chunks"  # copy_file_range
    " or quarter_of_what_is_left or may_be_given_fewer or named_by_its_file"  # a list of descriptors
    " or killed_process or not_empty_stays or swept_before or follows_no_link"  # mounts: what is left waits for a day
    " or flushed"  # syncfs
    " or owner_gets_access or without_access"  # O_PATH opens a directory without rights; root needs none
    " or full_disk"  # pretended by names of descriptors where nothing can be mounted
    " or keeps_the_position"  # a descriptor that can be opened again
    " or changed_is_not_published or long_copy_stops or damaged_copy"  # names of descriptors
    " or not_what_was_hashed or changed_after_hashing"
)
"""Tests of the very things that are taken away, or of what follows from them."""

SUITES = {
    "disk": [
        *("tests/disk/test_clone.py", "tests/disk/test_destination.py", "tests/disk/test_containment.py"),
        *("tests/disk/test_modes.py", "tests/disk/test_staging.py", "tests/disk/test_directories.py"),
        *("tests/disk/test_pruning.py", "tests/disk/test_long_paths.py", "tests/disk/test_run_folder.py"),
        *("tests/disk/test_descriptors.py", "tests/stores/file/test_store.py", "tests/stores/file/test_batch.py"),
    ],
    "transfer": [
        "tests/transfer/test_checkout.py",
        "tests/transfer/test_push.py",
        "tests/stores/s3/test_contract.py::TestS3Store",
    ],
    "cli": [
        "tests/cli/test_round_trips.py",
        "tests/cli/test_packs.py",
        "tests/cli/test_external.py::test_a_long_script_runs_as_well",
    ],
}


@pytest.mark.parametrize("suite", SUITES)
def test_the_package_does_without_what_only_linux_has(suite: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}/tests/other_systems:{PROJECT}/src"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", f"not ({ABOUT_LINUX})"]
    done = subprocess.run(
        [*command, *SUITES[suite]], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_it_is_really_taken_away() -> None:
    script = "import os; from snapdir.disk import filesystems, system; print(hasattr(os, 'O_PATH'))"
    script += "; print(system.path_of_descriptor(0), system.count_descriptors(), set(filesystems.memory_devices()))"
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}/tests/other_systems:{PROJECT}/src"}
    printed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "False\nfile descriptor 0 0 set()\n"
