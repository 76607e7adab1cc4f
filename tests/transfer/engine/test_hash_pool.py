"""Work that is alone in the pool."""

from __future__ import annotations

import threading

from snapdir.transfer.engine.hash_pool import HashPool


def test_later_work_begins_when_work_alone_is_done() -> None:
    order: list[str] = []
    go = threading.Event()

    def alone() -> None:
        go.wait(30)
        order.append("alone")

    with HashPool(3) as pool:
        pool.submit_alone(alone)
        for _ in range(3):
            pool.submit(order.append, "later")
        go.set()
    assert order == ["alone", "later", "later", "later"]


def test_work_alone_that_fails_does_not_keep_later_work_from_beginning() -> None:
    def failing() -> None:
        raise ValueError

    with HashPool(2) as pool:
        failed = pool.submit_alone(failing)
        assert pool.submit(int, "7").result(30) == 7
    assert isinstance(failed.exception(), ValueError)
