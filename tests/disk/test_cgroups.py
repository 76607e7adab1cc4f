"""The limits of nested cgroups, in both versions and both at once, as containers and systemd set them up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.disk import system
from snapdir.disk.cgroups import cgroup_cpus, cgroup_memory_bytes

MIB = 1 << 20
NO_LIMIT_V1 = 9223372036854771712
V2_MOUNT = "30 23 0:26 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNTS = (
    "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "36 31 0:33 {root} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct"
)
OTHER_MOUNT = "23 1 254:0 / / rw,relatime - ext4 /dev/root rw"


class Laid:
    """A directory that is laid out as ``/proc`` and the mounted cgroup filesystems are."""

    def __init__(self, folder: Path, *, mounts: str, group: str) -> None:
        self.folder = folder
        proc = folder / "proc/self"
        proc.mkdir(parents=True)
        (proc / "mountinfo").write_text(f"{OTHER_MOUNT}\n{mounts}\n")
        (proc / "cgroup").write_text(group)

    def write(self, **files: str) -> Laid:
        """Write files below ``/sys/fs/cgroup``."""
        for name, text in files.items():
            path = self.folder / "sys/fs/cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return self

    @property
    def found(self) -> tuple[int | None, float | None]:
        return cgroup_memory_bytes(str(self.folder)), cgroup_cpus(str(self.folder))


def v2(folder: Path, path: str, root: str = "/") -> Laid:
    return Laid(folder, mounts=V2_MOUNT.format(root=root), group=f"0::{path}\n")


def v1(folder: Path, path: str, root: str = "/") -> Laid:
    return Laid(folder, mounts=V1_MOUNTS.format(root=root), group=f"4:memory:{path}\n3:cpu,cpuacct:{path}\n0::/\n")


def test_the_smallest_limit_of_nested_groups_counts(tmp_path: Path) -> None:
    groups = v2(tmp_path, "/slice/unit").write(
        **{"slice/memory.max": str(512 * MIB), "slice/unit/memory.max": "max", "slice/cpu.max": "150000 100000"},
        **{"slice/unit/cpu.max": "max 100000", "memory.max": "max"},
    )
    assert groups.found == (512 * MIB, 1.5)
    groups.write(**{"slice/unit/memory.high": str(256 * MIB), "slice/unit/cpu.max": "50000 100000"})
    assert groups.found == (256 * MIB, 0.5)


def test_max_is_no_limit(tmp_path: Path) -> None:
    groups = v2(tmp_path, "/unit").write(**{"unit/memory.max": "max", "unit/cpu.max": "max 100000"})
    assert groups.found == (None, None)


def test_version_1_shows_a_huge_number_and_minus_one_for_no_limit(tmp_path: Path) -> None:
    groups = v1(tmp_path, "/a/b").write(
        **{"memory/a/b/memory.limit_in_bytes": str(NO_LIMIT_V1), "memory/memory.limit_in_bytes": str(NO_LIMIT_V1)},
        **{"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"},
    )
    assert groups.found == (None, None)
    groups.write(**{"memory/a/memory.limit_in_bytes": str(300 * MIB)})
    groups.write(**{"cpu,cpuacct/a/cpu.cfs_quota_us": "250000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"})
    assert groups.found == (300 * MIB, 2.5)


@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize(("path", "root"), [("/docker/1f", "/docker/1f"), ("/", "/"), ("/../../x", "/"), ("/a", "/b")])
def test_a_container_sees_its_own_group_at_the_mount(tmp_path: Path, make, path: str, root: str) -> None:
    """Version 1 without a namespace: the path counts from outside. A group outside the namespace begins with /.."""
    groups = make(tmp_path, path, root)
    groups.write(**{"memory/memory.limit_in_bytes": str(64 * MIB), "memory.max": str(64 * MIB)})
    assert groups.found[0] == 64 * MIB


def test_version_1_counts_beside_an_empty_version_2(tmp_path: Path) -> None:
    mounts = f"{V1_MOUNTS.format(root='/')}\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    groups = Laid(tmp_path, mounts=mounts, group="4:memory:/job\n3:cpu,cpuacct:/\n0::/\n")
    groups.write(**{"memory/job/memory.limit_in_bytes": str(MIB), "unified/cgroup.procs": "1"})
    assert groups.found == (MIB, None)


def test_a_name_may_hold_a_colon_a_space_and_more(tmp_path: Path) -> None:
    name = "a:b c\\x2d"
    groups = v2(tmp_path, f"/{name}").write(**{f"{name}/memory.max": "4096"})
    assert groups.found == (4096, None)


@pytest.mark.parametrize("text", ["", "0::", "x", "0::/gone (deleted)", "0::/unit\n0::/unit"])
@pytest.mark.parametrize("limit", ["", "-", "many", "1 2 3", "\x00"])
def test_what_cannot_be_read_sets_no_limit(tmp_path: Path, text: str, limit: str) -> None:
    groups = Laid(tmp_path, mounts=V2_MOUNT.format(root="/"), group=text)
    groups.write(**{"memory.max": limit and f"{limit}x", "unit/memory.max": "", "unit/cpu.max": limit})
    assert groups.found == (None, None)


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    assert (cgroup_memory_bytes(str(tmp_path)), cgroup_cpus(str(tmp_path))) == (None, None)


@pytest.mark.parametrize(("quota", "cpus"), [(None, 8), (0.1, 1), (1.0, 1), (1.5, 2), (64.0, 8)])
def test_a_quota_counts_as_processors_rounded_up(
    quota: float | None, cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    monkeypatch.setattr(system, "cgroup_cpus", lambda: quota)
    assert system.usable_cpus() == cpus


limits = st.lists(st.one_of(st.none(), st.integers(0, 1 << 50)), max_size=6)


@given(limits=limits)
def test_any_nesting_resolves_to_its_smallest_limit(tmp_path_factory: pytest.TempPathFactory, limits) -> None:
    names = [f"g{number}" for number in range(len(limits))]
    groups = v2(tmp_path_factory.mktemp("cgroups"), "/" + "/".join(names))
    for depth, limit in enumerate(limits, 1):
        groups.write(**{"/".join([*names[:depth], "memory.max"]): "max" if limit is None else str(limit)})
    assert groups.found[0] == min((limit for limit in limits if limit is not None), default=None)
