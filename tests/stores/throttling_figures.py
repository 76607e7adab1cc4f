"""The throughput from stores that throttle, in virtual time: ``python -m tests.stores.throttling_figures``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.stores.throttling_servers import FAR_SECONDS, NEAR_SECONDS, Load, above, between, some

__all__ = ["Figure", "figures"]

OUTAGE_ENDS_AT = 15.0


class Figure(NamedTuple):
    """One measurement, and what it must reach."""

    server: str
    figure: float
    bar: str
    is_reached: bool
    failed_calls: int


def figures() -> Iterator[Figure]:
    """A tenth refused at random; three limits of requests per second; an outage of ten seconds."""
    for in_flight, response_seconds in ((8, 0.1), (32, FAR_SECONDS), (32, 0.3)):
        load = Load(seconds=30, in_flight=in_flight, response_seconds=response_seconds)
        outcome = load.put_on(some(0.1, seed=1))
        share = outcome.per_second * response_seconds / in_flight
        server = f"refuses a tenth; {in_flight} in flight, {1000 * response_seconds:g} ms"
        yield Figure(server, share, "at least 0.8 of the full speed", share >= 0.8, outcome.failed)
    for rate in (100, 400, 3500):
        for in_flight, response_seconds in ((32, NEAR_SECONDS), (256, FAR_SECONDS)):
            load = Load(seconds=min(20, 25_000 / rate), in_flight=in_flight, response_seconds=response_seconds)
            outcome = load.put_on(above(rate, saved=rate / 4))
            share = outcome.per_second / rate
            server = f"takes {rate:,} a second; {in_flight} in flight, {1000 * response_seconds:g} ms"
            is_reached = share >= 0.9 and not outcome.failed
            yield Figure(server, share, "at least 0.9 of the limit, no call fails", is_reached, outcome.failed)
    load = Load(seconds=60)
    outcome = load.put_on(between(OUTAGE_ENDS_AT - 10, OUTAGE_ENDS_AT, some(0.0, seed=1)))
    back = outcome.back_after(OUTAGE_ENDS_AT, per_second=0.9 * load.in_flight / load.response_seconds)
    yield Figure("an outage of 10 s", back, "full speed within 30 s", back <= 30, outcome.failed)


if __name__ == "__main__":
    for server, figure, bar, is_reached, failed_calls in figures():
        verdict = "reached" if is_reached else "MISSED"
        print(f"{server:44}  {figure:6.2f}  {bar:42}  {verdict}  failed calls: {failed_calls}")
