"""DER-05 to DER-07: rates, and adaptive requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.harness import Shell, case


@case("DER-05")
@pytest.mark.parametrize("rate", ["0", "512", "1.5M", "10m", "2KiB", "1gb", " 3M "])
def test_valid_rates_are_accepted(rate: str, sh: Shell, src: Path, store: str) -> None:
    sh.ok("push", "--limit-rate", rate, "--store", store, src)


@case("DER-05")
@pytest.mark.parametrize("rate", ["-1", "10X", "", "1.2.3"])
def test_invalid_rates_are_refused(rate: str, sh: Shell, src: Path, store: str) -> None:
    sh.refused("push", f"--limit-rate={rate}", "--store", store, src)


@case("DER-06")
@pytest.mark.parametrize(
    ("flag", "code"), [("--adaptive", 0), ("--adaptive=0.5", 0), ("--adaptive=0", 2), ("--adaptive=1.1", 2)]
)
def test_adaptive_takes_an_optional_share(flag: str, code: int, sh: Shell, src: Path, store: str) -> None:
    assert sh("push", flag, "--store", store, src).code == code


@case("DER-06")
def test_the_share_needs_an_equals_sign(sh: Shell, src: Path, store: str) -> None:
    sh.refused("push", "--adaptive", "0.5", "--store", store, src)


@case("DER-07")
@pytest.mark.parametrize(
    ("flags", "banner"),
    [
        (["--adaptive=0.8", "--jobs", "100"], "adaptive: target 80% of capacity, ceiling 64\n"),
        (["--adaptive", "--jobs", "9", "--max-jobs", "7"], "adaptive: target 80% of capacity, ceiling 7\n"),
        (["--adaptive=0.5", "--jobs", "9"], "adaptive: target 50% of capacity, ceiling 9\n"),
        (
            ["--adaptive", "--max-jobs", "3", "--limit-rate", "1M"],
            "adaptive: target 80% of capacity, ceiling 3, limit 1M\n",
        ),
    ],
)
def test_verbose_describes_adaptive(flags: list[str], banner: str, sh: Shell, src: Path, store: str) -> None:
    assert banner in sh.ok("push", *flags, "--verbose", "--store", store, src).err
