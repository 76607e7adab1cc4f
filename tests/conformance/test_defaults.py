"""DEF: the verb ``defaults``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.harness import Shell, case

KNOBS = [
    "cache-dir", "store", "objects-store", "catalog", "jobs", "walk-jobs", "limit-rate", "adaptive", "max-jobs",
    "max-retries", "retry-base-ms", "retry-max-ms", "max-requests", "no-progress", "color", "fsync",
    "clonefile", "verify-copies",
]  # fmt: skip


def knobs(sh: Shell, *args: str | Path, **variables: str | None) -> dict[str, str]:
    """Knob to its value and source, in order."""
    shown = sh.ok("defaults", *args, **variables).out.partition("other-env:\n")[0]
    return dict(line.split(" ", 1) for line in shown.splitlines())


def others(sh: Shell, **variables: str | None) -> list[str]:
    """What is shown below ``other-env:``."""
    return sh.ok("defaults", **variables).out.partition("other-env:\n")[2].splitlines()


@case("DEF-01")
def test_every_setting_has_a_line_in_the_order_of_the_reference(sh: Shell) -> None:
    assert [knob for knob in knobs(sh, SNAPDIR_CACHE_DIR=None) if knob in KNOBS] == KNOBS


@case("DEF-02")
def test_every_line_has_a_value_and_a_source(sh: Shell) -> None:
    for knob, value in knobs(sh).items():
        # Limits of the machine are settings that only this tool has.
        sources = "flag|env|default" if knob in KNOBS else "flag|env|default|cgroup|rlimit|affinity"
        assert re.fullmatch(rf"\S.* source=({sources})", value)


@case("DEF-03")
def test_automatic_values_are_shown_as_their_effective_value(sh: Shell) -> None:
    found = knobs(sh, SNAPDIR_CACHE_DIR=None)
    assert re.fullmatch(r"[1-9]\d* source=default", found["jobs"])
    assert re.fullmatch(r"[1-9]\d* source=default", found["walk-jobs"])
    assert found["cache-dir"].startswith("/")


@case("DEF-04")
def test_flags_override_the_environment(sh: Shell, place: Path) -> None:
    found = knobs(sh, "--jobs", "3", "--cache-dir", place / "d", SNAPDIR_JOBS="9")
    assert found["jobs"] == "3 source=flag"
    assert found["cache-dir"] == f"{place}/d source=flag"


@case("DEF-05")
def test_the_environment_is_shown_as_a_source(sh: Shell) -> None:
    found = knobs(sh, SNAPDIR_JOBS="7", SNAPDIR_STORE="file:///x")
    assert found["jobs"] == "7 source=env"
    assert found["store"] == "file:///x source=env"


@case("DEF-06")
def test_other_variables_of_snapdir_are_listed(sh: Shell) -> None:
    shown = others(sh, SNAPDIR_FOO="bar", SNAPDIR_MY_VERSION="9", OTHER_FOO="bar")
    assert "  SNAPDIR_FOO=bar" in shown
    assert not [line for line in shown if "VERSION" in line or not line.startswith("  SNAPDIR")]


@case("DEF-07")
def test_old_variables_are_not_settings(sh: Shell) -> None:
    assert "SNAPDIR_MANIFEST" not in sh.ok("defaults").out


@case("DEF-08")
@pytest.mark.parametrize("name", ["SNAPDIR_MANIFEST_CONTEXT", "SNAPDIR_MANIFEST_EXCLUDE"])
def test_old_variables_are_marked(name: str, sh: Shell) -> None:
    shown = sh.ok("defaults", **{name: "x"}).out
    assert shown.count(name) == 1
    assert f"  {name}=x (legacy)" in others(sh, **{name: "x"})


@case("DEF-09")
def test_two_runs_show_the_same(sh: Shell) -> None:
    assert sh.ok("defaults") == sh.ok("defaults")


@case("DEF-10")
def test_switches_of_storage_have_defaults_and_can_be_changed(sh: Shell) -> None:
    found = knobs(sh)
    assert found["clonefile"] == "enabled source=default"
    assert found["fsync"] == "batch source=default"
    assert found["verify-copies"] == "disabled source=default"
    flipped = knobs(sh, SNAPDIR_CLONEFILE="0", SNAPDIR_FSYNC="off", SNAPDIR_VERIFY_COPIES="1")
    assert flipped["clonefile"] == "disabled source=env"
    assert flipped["fsync"] == "off source=env"
    assert flipped["verify-copies"] == "enabled source=env"


@case("DEF-11")
def test_the_pool_is_shown_with_its_source(sh: Shell) -> None:
    assert knobs(sh, "--objects-store", "file:///pool")["objects-store"] == "file:///pool source=flag"
    assert knobs(sh, SNAPDIR_OBJECTS_STORE="file:///pool")["objects-store"] == "file:///pool source=env"


@case("DEF-12")
@pytest.mark.parametrize("knob", ["max-requests", "max-retries", "retry-base-ms", "retry-max-ms"])
def test_retries_and_requests_come_from_the_environment(knob: str, sh: Shell) -> None:
    assert knobs(sh, **{f"SNAPDIR_{knob.upper().replace('-', '_')}": "17"})[knob] == "17 source=env"
