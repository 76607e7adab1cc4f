"""The short run checks counts and memory, never time."""

from __future__ import annotations

import pytest

from benchmarks.results import Run
from benchmarks.scenarios import SHORT
from benchmarks.short import LIMITS, MEMORY_CEILING_BYTES, complaints

PUSHED = {
    "PutObject": 501,
    "UploadPart": 8,
    "HeadObject": 257,
    "CreateMultipartUpload": 1,
    "CompleteMultipartUpload": 1,
}


def test_every_scenario_has_a_limit() -> None:
    assert {scenario.name for scenario in SHORT} == LIMITS.keys()


@pytest.mark.parametrize(
    ("scenario", "requests"),
    [
        ("push-short", PUSHED),
        ("push-short", PUSHED | {"PutObject": 502}),  # one that was repeated
        ("repush-short", {"HeadObject": 2}),
        ("pull-short", {"GetObject": 509}),
    ],
)
def test_right_counts_pass_however_long_it_took(scenario: str, requests: dict[str, int]) -> None:
    assert complaints([Run(scenario, "ours", 0, wall_seconds=1e6, requests=requests)], counted=True) == []


@pytest.mark.parametrize(
    ("scenario", "requests", "what"),
    [
        ("push-short", PUSHED | {"PutObject": 500}, "500 PutObject, 501 expected"),
        ("push-short", PUSHED | {"PutObject": 601}, "601 PutObject, 501 expected"),
        ("push-short", PUSHED | {"HeadObject": 1002}, "1513 requests, 1030 allowed"),
        ("push-short", PUSHED | {"UploadPart": 0}, "0 UploadPart, 8 expected"),
        ("repush-short", {"HeadObject": 1, "PutObject": 1}, "1 PutObject, 0 expected"),
        ("repush-short", {"HeadObject": 3}, "3 requests, 2 allowed"),
        ("pull-short", {"GetObject": 502}, "502 GetObject, 503 expected"),
    ],
)
def test_wrong_counts_do_not(scenario: str, requests: dict[str, int], what: str) -> None:
    found = complaints([Run(scenario, "ours", 0, requests=requests)], counted=True)
    assert what in found[0]
    assert len(found) == 1


def test_too_much_memory_does_not_pass() -> None:
    run = Run("pull-short", "ours", 0, peak_rss_bytes=MEMORY_CEILING_BYTES + (1 << 20), requests={"GetObject": 509})
    assert complaints([run], counted=True) == ["pull-short: 251 MiB resident, 250 allowed"]


def test_a_failed_transfer_does_not_pass() -> None:
    assert complaints([Run("pull-short", "ours", 0, error="exit 1: no")], counted=True) == ["pull-short: exit 1: no"]


def test_a_server_that_does_not_count_cannot_miscount() -> None:
    assert complaints([Run("push-short", "ours", 0)], counted=False) == []
