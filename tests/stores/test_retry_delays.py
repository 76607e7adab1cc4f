"""What the delays between attempts can add up to is reckoned at once, for any number of them."""

from __future__ import annotations

import pytest

from snapdir.stores.settings import RetryPolicy


@pytest.mark.parametrize("retries", [0, 1, 5, 64, 65, 200])
@pytest.mark.parametrize("policy", [RetryPolicy(), RetryPolicy(base_seconds=0.0), RetryPolicy(max_seconds=1e30)])
def test_delays_add_up(policy: RetryPolicy, retries: int) -> None:
    one_by_one = [min(policy.max_seconds, policy.base_seconds * 2.0 ** min(k, 64)) for k in range(retries)]
    assert policy.delays_seconds(retries) == pytest.approx(sum(one_by_one))


def test_a_billion_of_them_take_no_time() -> None:
    assert RetryPolicy(max_seconds=1.0).delays_seconds(999_999_999) > 999_999_900
