"""The catalog: complete, selectable, and consistent with the targets."""

from __future__ import annotations

import pytest

from benchmarks.peers import PEERS
from benchmarks.scenarios import PROFILES, SCENARIOS, SHORT, Verb, select
from benchmarks.session import Plan, choose_peers
from benchmarks.targets import TARGETS

NAMES = {scenario.name for scenario in SCENARIOS}


def test_names_are_unique() -> None:
    assert len(NAMES) == len(SCENARIOS)


@pytest.mark.parametrize("tree", ["small-5k", "small-50k", "shards-1g", "big-2x1g", "mixed"])
def test_every_tree_is_pushed_and_pulled(tree: str) -> None:
    assert {f"push-{tree}", f"pull-{tree}"} <= NAMES


def test_trees_are_as_large_as_they_say() -> None:
    sizes = {scenario.tree.name: scenario.tree for scenario in SCENARIOS}
    assert sizes["small-5k"].file_count == 5_000
    assert sizes["small-50k"].file_count == 50_000
    assert sizes["shards-1g"].size == 1 << 30
    assert sizes["big-2x1g"].size == 2 << 30
    assert sizes["mixed"].object_count < sizes["mixed"].file_count  # some of it is there twice


def test_every_bar_is_about_a_scenario_that_runs_in_its_profile() -> None:
    profiles = {scenario.name: scenario.profiles for scenario in SCENARIOS}
    assert [target for target in TARGETS if target.profile not in profiles[target.scenario]] == []


def test_a_client_that_a_bar_compares_with_runs_there() -> None:
    for target in TARGETS:
        if target.against:
            chosen = [scenario for scenario in select([], target.profile) if scenario.name == target.scenario]
            assert target.against in choose_peers(chosen, Plan(profile=target.profile))


def test_startup_scenarios_exist_and_use_the_same_verb() -> None:
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    for scenario in SCENARIOS:
        if scenario.startup:
            family = {Verb.REPUSH: Verb.PUSH, Verb.REPUSH_CHANGED: Verb.PUSH, Verb.REPULL: Verb.PULL}
            assert by_name[scenario.startup].verb is family.get(scenario.verb, scenario.verb)


def test_profiles_name_clients_that_exist() -> None:
    assert {name for profile in PROFILES.values() for name in profile.peers} <= PEERS.keys()
    assert {name for scenario in SCENARIOS for name in (*scenario.peers, *scenario.able)} <= PEERS.keys()


def test_without_patterns_the_profile_decides() -> None:
    assert [each for each in select([], "region") if "region" not in each.profiles] == []
    assert len(select([], "fast")) == len(SCENARIOS)


def test_a_name_brings_the_scenario_that_measures_its_startup() -> None:
    assert [each.name for each in select(["push-small-50k"], "fast")] == ["push-one", "push-small-50k"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("shards-1g", {"push-shards-1g", "pull-shards-1g"}),
        ("*mixed", {"push-mixed", "pull-mixed"}),
        ("head", {"head-20k"}),
    ],
)
def test_trees_verbs_and_patterns_select(pattern: str, expected: set[str]) -> None:
    chosen = {each.name for each in select([pattern], "fast")}
    assert {name for name in chosen if not name.endswith("-one")} == expected


def test_an_unknown_name_is_an_error_that_lists_the_catalog() -> None:
    with pytest.raises(LookupError, match=r"'nope'.*push-small-5k"):
        select(["push", "nope"], "fast")


def test_ours_runs_even_if_only_others_are_named() -> None:
    assert choose_peers(select(["push"], "fast"), Plan(peers=["s5cmd"])) == ["ours", "s5cmd"]


def test_an_unknown_client_is_an_error() -> None:
    with pytest.raises(LookupError, match="nobody"):
        choose_peers(SCENARIOS, Plan(peers=["nobody"]))


def test_a_client_that_cannot_skip_what_is_there_does_not_run_a_repush() -> None:
    assert choose_peers(select(["repush"], "fast")[1:], Plan(peers=["obstore", "rclone"])) == ["ours", "rclone"]


def test_the_short_run_is_short() -> None:
    assert max(scenario.tree.size for scenario in SHORT) < 100 << 20
