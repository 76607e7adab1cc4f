"""What s3sim counted, from its text."""

from __future__ import annotations

import pytest

from benchmarks.server_stats import parse_stats

STATS = """\
BYTES_OUT 8 4096
CompleteMultipartUpload 1 0
CreateMultipartUpload 1 0
FAULT_503 2 0
FAULT_TRUNC 1 0
GetObject 9 0
GetObject404 1 0
HeadObject 6 0
HeadObject404 6 0
PutObject 501 8000
PutObject412 2 100
UploadPart 8 64000
WITH_CHECKSUM 509 0
conns_now 1 0
conns_peak 33 0
conns_total 34 0
objects 502 0
"""


def test_requests_are_counted_once() -> None:
    traffic = parse_stats(STATS)
    assert traffic.counts == {
        "CompleteMultipartUpload": 1,
        "CreateMultipartUpload": 1,
        "FAULT_503": 2,
        "GetObject": 9,
        "HeadObject": 6,
        "PutObject": 501,
        "UploadPart": 8,
    }
    assert traffic.requests == 528


def test_what_became_of_them_is_told_apart() -> None:
    answers = {"FAULT_TRUNC": 1, "GetObject404": 1, "HeadObject404": 6, "PutObject412": 2, "WITH_CHECKSUM": 509}
    assert parse_stats(STATS).answers == answers


def test_bytes_connections_and_objects() -> None:
    traffic = parse_stats(STATS)
    assert (traffic.bytes_in, traffic.bytes_out) == (72000, 4096)
    assert (traffic.connections, traffic.objects) == (33, 502)


def test_a_server_that_was_asked_nothing() -> None:
    traffic = parse_stats("conns_now 1 0\nconns_peak 0 0\nconns_total 0 0\nobjects 0 0\n")
    assert (traffic.requests, traffic.bytes_in, traffic.answers) == (0, 0, {})


@pytest.mark.parametrize("text", ["<html>", "PutObject 1", "PutObject one 2"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        parse_stats(text)
