"""The catalog of scenarios: tree, verb, clients and network profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from benchmarks.trees import FileGroup, KiB, MiB, Tree

__all__ = ["PROFILES", "SCENARIOS", "SHORT", "Profile", "Scenario", "Verb", "select"]

OURS, REFERENCE, S5CMD, RCLONE, OBSTORE = "ours", "reference", "s5cmd", "rclone", "obstore"
# Clients that skip existing files; the others send or fetch everything again.
_INCREMENTAL = (OURS, REFERENCE, S5CMD, RCLONE)


class Verb(StrEnum):
    """What the client does, and the state it starts from."""

    PUSH = "push"  # an empty store
    PULL = "pull"  # an empty destination
    REPUSH = "repush"  # a store that already has the tree
    REPUSH_CHANGED = "repush-1pct"  # a store that has the tree before 1 % of its files changed
    REPULL = "repull"  # a destination that already has the tree
    HEAD = "head"  # repeated HEAD requests for one object; ours only, by its own driver


@dataclass(frozen=True, slots=True)
class Profile:
    """The network between client and server.

    Attributes:
        latency_ms: Delay before each response.
        mbps: Megabytes per second for each connection; 0 is unlimited.
        tls: A TLS 1.3 proxy in front, with a certificate of a local authority.
        concurrency: Concurrent requests of clients without their own default; s5cmd always has 256.
        peers: The default clients; slow ones would take hours with latency.
    """

    name: str
    about: str
    latency_ms: int = 0
    mbps: int = 0
    tls: bool = False
    concurrency: int = 64
    peers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the tables.

    Attributes:
        startup: The scenario that measures the CPU of starting the client.
        profiles: The default profiles.
        peers: The default clients; empty means every client that can run it and that the profile allows.
        requests: The number of requests of ``Verb.HEAD``.
    """

    verb: Verb
    tree: Tree
    startup: str = ""
    profiles: tuple[str, ...] = ("fast",)
    peers: tuple[str, ...] = ()
    requests: int = 0

    @property
    def name(self) -> str:
        """``push-small-5k``: the verb, then the tree."""
        return f"{self.verb}-{self.tree.name}"

    @property
    def able(self) -> tuple[str, ...]:
        """The clients that can run the scenario; empty means all."""
        if self.verb is Verb.HEAD:
            return (OURS,)
        return () if self.verb in (Verb.PUSH, Verb.PULL) else _INCREMENTAL

    @property
    def objects(self) -> int:
        """The number of objects, for the CPU time of each."""
        return self.requests or self.tree.object_count


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("fast", "loopback, plain HTTP, no latency"),
        Profile(
            "region",
            "30 ms before each answer, 80 MB/s a connection: S3 seen from inside its region",
            latency_ms=30,
            mbps=80,
            concurrency=256,
            peers=(OURS, REFERENCE, S5CMD, RCLONE, OBSTORE),
        ),
        Profile("tls", "TLS 1.3 by nginx on loopback, a local authority", tls=True),
    )
}

ONE = Tree("one", (FileGroup("small", 1, 4 * KiB, 4 * KiB),))
SMALL_5K = Tree("small-5k", (FileGroup("small", 5_000, 4 * KiB, 28 * KiB),))
SMALL_50K = Tree("small-50k", (FileGroup("small", 50_000, 4 * KiB, 28 * KiB),))
SHARDS_1G = Tree("shards-1g", (FileGroup("shard", 32, 32 * MiB, 32 * MiB),))
BIG_2X1G = Tree("big-2x1g", (FileGroup("big", 2, 1024 * MiB, 1024 * MiB),))
MIXED = Tree(
    "mixed",
    (
        FileGroup("small", 2_000, 4 * KiB, 28 * KiB),
        FileGroup("copies", 200, 4 * KiB, 28 * KiB, same_as="small"),
        FileGroup("tiny", 500, 1, 512, depth=6),
        FileGroup("images", 300, 100 * KiB, 900 * KiB),
        FileGroup("shards", 8, 32 * MiB, 32 * MiB),
        FileGroup("archive", 1, 256 * MiB, 256 * MiB),
    ),
)
SHORT_TREE = Tree("short", (FileGroup("small", 500, 4 * KiB, 28 * KiB), FileGroup("large", 1, 64 * MiB, 64 * MiB)))

_EVERYWHERE = ("fast", "region", "tls")
# 50,000 objects take slower clients a minute a run and show no more than 5,000.
_AT_SCALE = (OURS, REFERENCE, S5CMD, OBSTORE)

SCENARIOS = (
    Scenario(Verb.PUSH, ONE, profiles=_EVERYWHERE),
    Scenario(Verb.PULL, ONE, profiles=_EVERYWHERE),
    Scenario(Verb.PUSH, SMALL_5K, "push-one", profiles=_EVERYWHERE),
    Scenario(Verb.PULL, SMALL_5K, "pull-one", profiles=_EVERYWHERE),
    Scenario(Verb.PUSH, SMALL_50K, "push-one", peers=_AT_SCALE),
    Scenario(Verb.PULL, SMALL_50K, "pull-one", peers=_AT_SCALE),
    Scenario(Verb.PUSH, SHARDS_1G, "push-one", profiles=_EVERYWHERE),
    Scenario(Verb.PULL, SHARDS_1G, "pull-one", profiles=_EVERYWHERE),
    Scenario(Verb.PUSH, BIG_2X1G, "push-one"),
    Scenario(Verb.PULL, BIG_2X1G, "pull-one"),
    Scenario(Verb.PUSH, MIXED, "push-one"),
    Scenario(Verb.PULL, MIXED, "pull-one"),
    Scenario(Verb.REPUSH, SMALL_50K, "push-one"),
    Scenario(Verb.REPUSH_CHANGED, SMALL_50K, "push-one"),
    Scenario(Verb.REPULL, SMALL_5K, "pull-one"),
    Scenario(Verb.HEAD, ONE, requests=1),
    Scenario(Verb.HEAD, Tree("20k", ONE.groups), "head-one", requests=20_000),
)

SHORT = (Scenario(Verb.PUSH, SHORT_TREE), Scenario(Verb.REPUSH, SHORT_TREE), Scenario(Verb.PULL, SHORT_TREE))


def select(patterns: Sequence[str], profile: str, catalog: Sequence[Scenario] = SCENARIOS) -> list[Scenario]:
    """The scenarios of a run in catalog order, including those that measure start-up.

    Args:
        patterns: Names (``push-small-5k``), names of trees (``small-5k``), verbs (``pull``) or shell patterns of
            these; none means every scenario of the profile.
    Raises:
        LookupError: a pattern matches nothing.
    """
    if not patterns:
        return [scenario for scenario in catalog if profile in scenario.profiles]
    for pattern in patterns:
        if not any(_matches(scenario, pattern) for scenario in catalog):
            raise LookupError(f"no scenario matches {pattern!r}: {', '.join(each.name for each in catalog)}")
    wanted = {scenario.name for scenario in catalog if any(_matches(scenario, pattern) for pattern in patterns)}
    wanted |= {scenario.startup for scenario in catalog if scenario.name in wanted}
    return [scenario for scenario in catalog if scenario.name in wanted]


def _matches(scenario: Scenario, pattern: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in (scenario.name, scenario.tree.name, scenario.verb))
