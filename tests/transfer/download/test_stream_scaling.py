"""When more streams pay off, judged by what one process can measure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapdir.transfer.download.stream_scaling import GROWTH_FACTOR, SLOW_STREAM_BYTES_PER_SECOND, Moment, StreamScaling

CPUS = 2
STREAMS = 4
LOOK_SECONDS = 0.015
ALL_FAST = SLOW_STREAM_BYTES_PER_SECOND * STREAMS


def seen(rates: list[float], *, worked_share: float = 0.1, looped_share: float = 0.05) -> list[bool]:
    """What is said at each look, where bytes came at these rates."""
    clock, received = 100.0, 0.0
    scaling = StreamScaling(STREAMS, CPUS, Moment(clock, 0.0, 0.0, 0))
    said = []
    for rate in rates:
        clock += LOOK_SECONDS
        received += rate * LOOK_SECONDS
        seconds = clock - 100.0
        said.append(
            scaling.observe(Moment(clock, seconds * worked_share * CPUS, seconds * looped_share, int(received)))
        )
    return said


def test_nothing_moves_in_no_time() -> None:
    moment = Moment(1.0, 0.0, 0.0, 5)
    assert moment._replace(received_bytes=9).bytes_per_second_since(moment) == 0.0


def test_a_far_server_is_slow_before_it_has_answered() -> None:
    assert seen([0, 0, 0]) == [False, False, True]


def test_a_steady_trickle_is_slow() -> None:
    assert seen([ALL_FAST / 2] * 3) == [False, False, True]


def test_what_still_grows_is_not_slow() -> None:
    growing = [ALL_FAST / 100 * (GROWTH_FACTOR + 0.1) ** look for look in range(9)]
    assert not any(seen(growing))


def test_one_slow_look_is_no_slow_network() -> None:
    assert not any(seen([2 * ALL_FAST] * 5 + [ALL_FAST / 10] + [2 * ALL_FAST] * 5))


@given(st.lists(st.floats(0, 2 * ALL_FAST), max_size=20))
def test_nothing_is_slow_where_the_processors_are_busy(rates: list[float]) -> None:
    assert not any(seen(rates, worked_share=0.6))
    assert not any(seen(rates, looped_share=0.6))


@given(st.lists(st.floats(1.01 * ALL_FAST, 10 * ALL_FAST), max_size=20))
def test_nothing_is_slow_where_every_stream_is_fast(rates: list[float]) -> None:
    assert not any(seen(rates))


def test_the_time_of_all_processors_counts() -> None:
    assert seen([ALL_FAST / 2] * 3, worked_share=0.4) == [False, False, True]


def test_moments_that_coincide_say_nothing() -> None:
    start = Moment(1.0, 0.0, 0.0, 0)
    scaling = StreamScaling(STREAMS, CPUS, start)
    assert not scaling.observe(start)
    assert not scaling.observe(start)
    assert not scaling.observe(start)
