"""The layout of a store, written out: other programs read and write the same keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.model.digest import Digest
from snapdir.model.keys import (
    MANIFESTS,
    OBJECT_MODE,
    OBJECTS,
    digest_of_key,
    incomplete_key,
    manifest_key,
    manifest_prefix,
    object_key,
    record_key,
    record_of_key,
    records_since,
)

DIGITS = "49dc870df1de7fd60794cebce449f5ccdae575affaa67a24b62acb03e039db92"
SHARDED = "49d/c87/0df/1de7fd60794cebce449f5ccdae575affaa67a24b62acb03e039db92"
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_keys_are_the_digits_in_three_levels_of_three_and_the_rest() -> None:
    assert object_key(DIGITS) == f".objects/{SHARDED}"
    assert manifest_key(DIGITS) == f".manifests/{SHARDED}"
    assert incomplete_key(DIGITS) == f".incomplete/{DIGITS}"
    assert OBJECT_MODE == 0o444


@given(digests)
def test_a_key_tells_its_digest(digits: str) -> None:
    assert digest_of_key(object_key(digits), OBJECTS) == Digest(digits)
    assert digest_of_key(manifest_key(digits), MANIFESTS) == Digest(digits)


@pytest.mark.parametrize(
    "key",
    [
        f".manifests/{SHARDED}",
        f".objects/{SHARDED}0",
        f".objects/{SHARDED[:-1]}",
        f".objects/{SHARDED.upper()}",
        f".objects/{DIGITS}",
        f"x.objects/{SHARDED}",
        f".objects/{SHARDED}/",
        SHARDED,
        "",
    ],
)
def test_what_is_not_in_the_layout_has_no_digest(key: str) -> None:
    assert digest_of_key(key, OBJECTS) is None


@given(digests, st.integers(1, 64))
def test_the_prefix_of_some_digits_begins_the_keys_of_exactly_the_ids_that_begin_with_them(
    digits: str, count: int
) -> None:
    assert manifest_key(digits).startswith(manifest_prefix(digits[:count]))
    other = digits[: count - 1] + ("0" if digits[count - 1] != "0" else "1") + digits[count:]
    assert not manifest_key(other).startswith(manifest_prefix(digits[:count]))


def test_a_records_key_is_its_time_and_its_id() -> None:
    key = record_key("2026-11-30 12:34:56.789", "0123abcd")
    assert key == ".catalog/2026/11/30T123456.789-0123abcd.json"
    assert record_of_key(key) == ("2026-11-30 12:34:56.789", "0123abcd")
    assert records_since("2026-11-30 12:34:56.789") == ".catalog/2026/11/30T123456.789"


@given(st.lists(st.datetimes(), min_size=2, max_size=2))
def test_the_order_of_records_is_the_order_of_time(times: list) -> None:
    first, second = (f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03}".rjust(23, "0") for time in sorted(times))
    assert record_key(first, "0" * 8) <= record_key(second, "0" * 8)
    assert records_since(first) < record_key(first, "0" * 8)


@pytest.mark.parametrize(
    "key",
    [
        "catalog/2026/11/30T123456.789-0123abcd.json",
        ".catalog/2026/11/30T123456.789-0123abc.json",
        ".catalog/2026/11/30T123456-0123abcd.json",
        ".catalog/2026/11/30T123456.789-0123abcd.json.tmp",
    ],
)
def test_what_is_not_a_records_key_tells_no_record(key: str) -> None:
    assert record_of_key(key) is None
