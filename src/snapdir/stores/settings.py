"""Settings of stores, from options and the environment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS, BucketOptions

UNLIMITED = 1 << 30

LOCAL_REQUESTS = 8
"""Concurrent requests to a store in a directory, unless a number is chosen."""

MAX_ADAPTIVE_REQUESTS = 64
"""The highest concurrency with ``adaptive``. Without it, concurrency adapts up to what the store can take."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a request is retried after a failure that may pass.

    Attributes:
        attempts: In all, the first included.
        more_if_throttled: Further attempts of a request, one for each time that it is throttled.
        base_seconds: The delay before retry k (from 0) is random between 0 and base * 2**k.
        max_seconds: The longest delay.
    """

    attempts: int = 5
    more_if_throttled: int = 0
    base_seconds: float = 0.25
    max_seconds: float = 30.0

    @property
    def is_chosen(self) -> bool:
        """Whether the number of attempts differs from the default."""
        return (self.attempts, self.more_if_throttled) != (DEFAULT_RETRY.attempts, DEFAULT_RETRY.more_if_throttled)

    def longest_delay_seconds(self, retries: int) -> float:
        """The upper bound of the delay after ``retries`` retries."""
        return min(self.max_seconds, self.base_seconds * 2.0 ** min(retries, MAX_DOUBLINGS))

    def longest_delays_seconds(self, retries: int) -> float:
        """The longest possible sum of the delays before ``retries`` retries. Takes constant time."""
        doubling = sum(self.longest_delay_seconds(number) for number in range(min(retries, MAX_DOUBLINGS)))
        return doubling + max(0, retries - MAX_DOUBLINGS) * self.longest_delay_seconds(MAX_DOUBLINGS)


MAX_DOUBLINGS = 64
"""More would overflow a float; any delay is at its bound by then."""

MAX_RETRY_AFTER_SECONDS = 60.0
"""The longest Retry-After that is kept to. An error names a longer one."""

DEFAULT_RETRY = RetryPolicy(more_if_throttled=2)
"""When a store refuses a tenth of all requests, five attempts fail one call in 100,000, and seven one in ten million.
When it refuses every request, seven attempts take 8 s on average."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Settings of a store besides its URL.

    Attributes:
        retry: For stores across a network.
        bucket: Options that S3 buckets require.
        max_concurrency: Most requests in flight; 0 adapts, up to what the store can take.
        adaptive: The fraction to use of the highest concurrency that adds throughput, above 0 and at most 1. The search
            ends at ``max_concurrency``, or else at MAX_ADAPTIVE_REQUESTS. None: a ``max_concurrency`` holds from the
            start.
        limit_rate_bytes: Bytes per second, up and down together; None for no limit.
        max_requests_per_second: None for no limit.
        connect_timeout_seconds, first_byte_timeout_seconds, stall_timeout_seconds: For a connection to open, for a
            response to begin, and for a body to move. All finite.
        min_rate_bytes: Bytes per second; a transfer whose average over a minute is lower counts as stalled. 0 allows
            any speed. Time that a request waits for its own rate limit does not count.
        fsync: Flush data to the disk before relying on it (``SNAPDIR_FSYNC``).
        clone: Try a reflink before copying bytes (``SNAPDIR_CLONEFILE``).
        max_open_files: Descriptors for a whole transfer; 0 for what the process may open. It bounds the requests.
        requests_limit: An upper bound of the requests in flight that overrides the other settings; ``open_store`` sets
            it to what the limit of open files allows.
        notes_dir: Keeps what runs learn about an endpoint for later runs; None keeps nothing.
        verify_copies: Read back everything before publishing it, not only copies of files that were hashed
            (``SNAPDIR_VERIFY_COPIES``).
    """

    retry: RetryPolicy = DEFAULT_RETRY
    bucket: BucketOptions = NO_BUCKET_OPTIONS
    max_concurrency: int = 0
    adaptive: float | None = None
    limit_rate_bytes: int | None = None
    max_requests_per_second: float | None = None
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 30.0
    stall_timeout_seconds: float = 20.0
    min_rate_bytes: int = 1024
    fsync: bool = True
    clone: bool = True
    verify_copies: bool = False
    notes_dir: Path | None = None
    max_open_files: int = 0
    requests_limit: int = UNLIMITED

    def concurrency(self, default: int) -> int:
        """Most requests in flight, for a store whose default is ``default``."""
        return min(self.max_concurrency or default, self.requests_limit)

    def with_attempts(self, count: int | None) -> StoreSettings:
        """These settings with the attempts from another tool's configuration, unless a number was chosen here."""
        if count is None or self.retry.is_chosen:
            return self
        return replace(self, retry=replace(self.retry, attempts=count, more_if_throttled=0))

    @property
    def attempt_seconds(self) -> float:
        """The longest time until an attempt notices a lost connection."""
        return max(self.connect_timeout_seconds, self.first_byte_timeout_seconds, self.stall_timeout_seconds)
