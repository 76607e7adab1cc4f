"""Time limits of a connection: silence, and bodies that arrive too slowly."""

from __future__ import annotations

import pytest

from snapdir.model.sizes import MIB
from snapdir.stores.s3.http.errors import FirstByteTimeout, StallTimeout, TooSlow, WorkTimeout
from snapdir.stores.s3.http.timeouts import (
    ASSUMED_BYTES_PER_SECOND,
    ExchangeState,
    LineRate,
    RateFloor,
    Timeouts,
    Watch,
)

LIMITS = Timeouts(first_byte_seconds=30, stall_seconds=20, idle_seconds=15, min_bytes_per_second=1000)
NOTHING = ExchangeState(1, 1, 0, 0, False, False, 0, 0.0)
HOUR = 3600


def ends(looks: list[tuple[float, ExchangeState]], limits: Timeouts = LIMITS) -> tuple[object, float] | None:
    """The limit that is reached first, and when; None if none is."""
    watch = Watch(limits, 0.0, LineRate())
    for now, look in looks:
        if expired := watch.expired(now, look):
            return expired[0], now
    return None


def receiving(bytes_per_second: float, seconds: int = HOUR, **more: float) -> list[tuple[float, ExchangeState]]:
    """The states of a response that arrives evenly."""
    return [
        (float(now), NOTHING._replace(activity=now, received=1 + int(bytes_per_second * now), **more))
        for now in range(seconds)
    ]


def sending(
    bytes_per_second: float, seconds: int = HOUR, *, left_process: int = 1 << 30
) -> list[tuple[float, ExchangeState]]:
    """The states of a body of which the server's host has received a part, while more is in the kernel."""
    return [
        (
            float(now),
            NOTHING._replace(
                activity=now, sent=left_process, unsent=left_process - int(bytes_per_second * now), is_sending=True
            ),
        )
        for now in range(seconds)
    ]


@pytest.mark.parametrize("direction", [receiving, sending])
def test_a_drip_ends_after_one_to_two_minutes(direction: object) -> None:
    assert callable(direction)
    for bytes_per_second in (1, 10, 999):
        found = ends(direction(bytes_per_second))
        assert found is not None
        assert found[0] is TooSlow
        assert 60 <= found[1] <= 120


@pytest.mark.parametrize("direction", [receiving, sending])
def test_a_slow_line_that_keeps_to_the_floor_goes_on(direction: object) -> None:
    assert callable(direction)
    assert ends(direction(1001)) is None


def test_a_line_that_begins_to_drip_ends_too() -> None:
    quick = receiving(100_000, 600)
    drip = [
        (now + 600, look._replace(activity=600 + int(now), received=10**9 + int(now))) for now, look in receiving(1)
    ]
    found = ends(quick + drip)
    assert found is not None
    assert (found[0], 600 + 60 <= found[1] <= 600 + 120) == (TooSlow, True)


def test_0_lets_any_speed_pass() -> None:
    limits = Timeouts(min_bytes_per_second=0)
    assert ends(receiving(1), limits) is None
    assert ends(sending(1), limits) is None


def test_a_shorter_stall_timeout_leaves_the_average_at_a_minute() -> None:
    found = ends(receiving(1), Timeouts(stall_seconds=5, min_bytes_per_second=1000))
    assert found is not None
    assert (found[0], 60 <= found[1] <= 120) == (TooSlow, True)


def test_where_longer_pauses_are_allowed_the_average_is_of_a_longer_time() -> None:
    limits = Timeouts(first_byte_seconds=900, stall_seconds=600, min_bytes_per_second=1000)
    bursts = [
        (float(now), NOTHING._replace(activity=now // 590, received=1 + 590_000 * 3 * (now // 590)))
        for now in range(HOUR)
    ]
    assert ends(bursts, limits) is None
    assert ends(receiving(1), limits) == (TooSlow, 1800.0)


def test_the_time_before_an_answer_is_the_servers() -> None:
    assert ends([(float(now), NOTHING) for now in range(HOUR)]) == (FirstByteTimeout, 30.0)
    limits = Timeouts(first_byte_seconds=HOUR, stall_seconds=20, min_bytes_per_second=1000)
    assert ends([(float(now), NOTHING) for now in range(HOUR)], limits) is None


def test_what_waits_for_a_disk_here_does_not_drip() -> None:
    looks = [(now, look._replace(reads_disk=True)) for now, look in sending(1)]
    assert ends(looks) is None


@pytest.mark.parametrize("received", [0, 1], ids=["silent", "head"])
def test_a_server_that_works_for_minutes_has_its_own_limit(received: int) -> None:
    assert ends(receiving(1, patience_seconds=600.0)) == (WorkTimeout, 600.0)
    silent = [(float(now), NOTHING._replace(received=received, patience_seconds=600.0)) for now in range(HOUR)]
    assert ends(silent) == (WorkTimeout, 600.0)
    assert ends(silent[:600]) is None


def test_such_a_request_that_does_not_leave_is_a_stall() -> None:
    held = NOTHING._replace(sent=400, unsent=400, is_sending=True, patience_seconds=600.0)
    assert ends([(float(now), held) for now in range(HOUR)]) == (StallTimeout, 20.0)


def answered(line: LineRate, body_bytes: int) -> float:
    """When the wait for a response ends after the whole body was sent."""
    watch = Watch(LIMITS, 0.0, line)
    look = NOTHING._replace(sent=body_bytes)
    return next(now for now in map(float, range(HOUR)) if watch.expired(now, look))


def test_something_in_between_may_have_a_long_body_still() -> None:
    """As with a tunnel that accepts the body at once: the response may take as long as a slow line needs."""
    line = LineRate()
    assert answered(line, 0) == 30.0
    assert answered(line, 4096) == 31.0
    assert answered(line, 256 * ASSUMED_BYTES_PER_SECOND) == 30.0 + 256


def test_where_bodies_are_answered_soon_a_later_one_has_less_time() -> None:
    line = LineRate()
    line.answered(16 * MIB, 1.0)
    assert answered(line, 16 * MIB) == 34.0
    line.answered(16 * MIB, 64.0)
    assert answered(line, 16 * MIB) == 30.0 + 256, "the line is as slow as that now"
    line.answered(1000, 0.001)
    assert answered(line, 16 * MIB) == 30.0 + 256, "a short body tells nothing"


def test_what_a_connection_waits_between_two_exchanges_counts_for_none() -> None:
    """As with --limit-rate, which holds requests back before they go out."""
    watch = Watch(LIMITS, 0.0, LineRate())
    for number in range(1, 200):
        began = number * 100.0
        first = ExchangeState(number, 2 * number, 0, 0, False, False, 1, 0.0)
        assert watch.expired(began, first) is None
        assert watch.expired(began + 19, first._replace(activity=2 * number + 1, received=100)) is None


def test_what_a_thread_looks_after_counts_for_none() -> None:
    watch = Watch(LIMITS, 0.0, LineRate())
    look = NOTHING._replace(received=1)
    assert watch.expired(0.0, look) is None
    for now in range(1, HOUR):
        watch.passes(float(now))
    assert watch.expired(float(HOUR), look._replace(activity=2, received=100)) is None


def test_an_unused_connection_is_closed_after_a_while() -> None:
    watch = Watch(LIMITS, 0.0, LineRate())
    assert not watch.is_idle_for_long(10.0, 1)
    assert not watch.is_idle_for_long(24.9, 1)
    assert watch.is_idle_for_long(25.0, 1)


def test_a_connection_that_was_never_used_is_closed_in_that_time_too() -> None:
    assert Watch(LIMITS, 0.0, LineRate()).is_idle_for_long(15.0, 0)


def test_a_floor_judges_whole_windows_and_begins_anew() -> None:
    floor = RateFloor(10, 60)
    assert not floor.is_below(0, 59.9)
    assert floor.is_below(0, 0.1)
    assert not floor.is_below(600, 60)
    assert floor.is_below(599, 60)
    assert not floor.is_below(0, 59)
    floor.restart()
    assert not floor.is_below(0, 59)
