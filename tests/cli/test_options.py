"""How flags and variables become what the verbs are given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snapdir.config import Config
from snapdir.model.manifest import Manifest
from snapdir.model.sizes import MIB
from snapdir.stores.settings import RetryPolicy

from .conftest import ID, FakeVerbs, cli

PUSH = ("push", "--store", "./s")


def config_of(verbs: FakeVerbs, *args: str) -> Config:
    run = cli(*args)
    assert run.code == 0, run.stderr
    config: Config = verbs.options["config"]
    return config


def test_flags_fill_the_config(verbs: FakeVerbs) -> None:
    flags = ["-j", "3", "--walk-jobs=4", "--memory", "256MiB", "--part-size", "16M", "--cache-dir", "c"]
    retries = ["--max-retries", "9", "--retry-base-ms", "100", "--retry-max-ms", "2000", "--stall-timeout", "7"]
    config = config_of(verbs, *PUSH, *flags, *retries, "x")
    assert (config.limits.jobs, config.limits.hash_threads) == (3, 4)
    assert (config.limits.memory_bytes, config.limits.part_bytes) == (256 * MIB, 16 * MIB)
    assert config.stores.max_concurrency == 3  # kept from the start instead of found
    assert config.cache_dir == Path.cwd() / "c"
    assert config.stores.retry == RetryPolicy(attempts=9, base_seconds=0.1, max_seconds=2.0)
    assert config.stores.stall_timeout_seconds == 7
    assert config.stores.first_byte_timeout_seconds == 10.5


def test_without_flags_the_defaults_stand(verbs: FakeVerbs, isolated: Path) -> None:
    assert config_of(verbs, *PUSH, "x") == Config(
        cache_dir=isolated / "cache", catalog=isolated / "cache" / "default-catalog.sqlite3"
    )


def test_variables_fill_what_flags_leave(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"JOBS": "5", "WALK_JOBS": "6", "MEMORY": "64M", "MAX_RETRIES": "0", "FSYNC": "off"}
    others = {"CLONEFILE": "0", "VERIFY_COPIES": "yes", "STORE": "s3://bucket/p", "CACHE_DIR": "~/c"}
    for name, value in (variables | others).items():
        monkeypatch.setenv(f"SNAPDIR_{name}", value)
    config = config_of(verbs, "push", "-j7", "x")
    assert (config.limits.jobs, config.limits.hash_threads, config.limits.memory_bytes) == (7, 6, 64 * MIB)
    assert config.stores.retry.attempts == 1  # an attempt is the least
    assert (config.stores.fsync, config.stores.clone, config.stores.verify_copies) == (False, False, True)
    assert config.cache_dir == Path.home() / "c"
    assert verbs.args == ("x", "s3://bucket/p")


@pytest.mark.parametrize(
    ("typed", "rate_bytes"),
    [
        ("0", None),
        ("512", 512),
        ("1.5M", 1_572_864),
        ("10m", 10 * MIB),
        ("2KiB", 2048),
        ("1gb", 1024 * MIB),
        (" 3M ", 3 * MIB),
    ],
)
def test_rates_are_binary_and_forgiving(typed: str, rate_bytes: int | None, verbs: FakeVerbs) -> None:  # DER-05
    assert config_of(verbs, *PUSH, "--limit-rate", typed, "x").stores.limit_rate_bytes == rate_bytes


@pytest.mark.parametrize("typed", ["-1", "10X", "", "1.2.3", "bogus"])
def test_a_bad_rate_shows_good_ones(typed: str, verbs: FakeVerbs) -> None:  # ARG-12
    run = cli(*PUSH, "--limit-rate", typed, "x")
    assert (run.code, verbs.calls) == (2, [])
    assert f"invalid --limit-rate '{typed}': expected bytes per second, such as 10M, 512K or 1G" in run.stderr


def test_requests_a_second_have_a_limit_only_when_asked_for(verbs: FakeVerbs) -> None:
    assert config_of(verbs, *PUSH, "--max-requests", "20", "x").stores.max_requests_per_second == 20
    assert config_of(verbs, *PUSH, "--max-requests", "0", "x").stores.max_requests_per_second is None


@pytest.mark.parametrize("name", ["STORE", "JOBS", "MEMORY", "FSYNC", "CACHE_DIR", "NO_PROGRESS", "MANIFEST_CONTEXT"])
def test_an_empty_variable_is_unset(
    name: str, verbs: FakeVerbs, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = config_of(verbs, *PUSH, "x")
    monkeypatch.setenv(f"SNAPDIR_{name}", "")
    config = config_of(verbs, *PUSH, "x")
    elsewhere = isolated / "xdg" / "snapdir"
    moved = Config(cache_dir=elsewhere, catalog=elsewhere / "default-catalog.sqlite3")
    assert config == (moved if name == "CACHE_DIR" else expected)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SNAPDIR_JOBS", "abc"),
        ("SNAPDIR_WALK_JOBS", "1.5"),
        ("SNAPDIR_MEMORY", "10X"),
        ("SNAPDIR_MAX_RETRIES", "many"),
        ("SNAPDIR_RETRY_BASE_MS", "-1"),
        ("SNAPDIR_RETRY_MAX_MS", "1s"),
        ("SNAPDIR_FSYNC", "on"),
        ("SNAPDIR_CLONEFILE", "2"),
        ("SNAPDIR_VERIFY_COPIES", "maybe"),
        ("SNAPDIR_NO_PROGRESS", "maybe"),
        ("SNAPDIR_CACHE_DIR", "~nobody-of-this-name/c"),
    ],
)
def test_a_bad_variable_exits_2_naming_it_and_its_value(
    variable: str, value: str, verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    run = cli(*PUSH, "x")
    assert run.code == 2
    assert f"error: invalid {variable} '{value}'" in run.stderr
    assert verbs.calls == []


def test_variables_of_flags_a_verb_lacks_are_ignored(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBS", "MAX_RETRIES", "FSYNC", "MEMORY", "LIMIT_RATE", "MAX_JOBS"):  # ARG-10
        monkeypatch.setenv(f"SNAPDIR_{name}", "rubbish")
    assert cli("id", "x").code == 0
    assert cli("flush-cache").code == 0


@pytest.mark.parametrize("value", ["1", "0", "true", "false", "yes", "no", "TRUE"])
def test_no_progress_takes_words_and_digits(value: str, verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_NO_PROGRESS", value)  # DER-33
    assert cli("version").code == 0
    assert cli("id", "x").stdout == f"{ID}\n"


@pytest.mark.parametrize("verb", ["manifest", "id", "stage", "push"])
def test_the_keyed_context_reaches_every_verb_that_hashes_a_tree(
    verb: str, verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPDIR_MANIFEST_CONTEXT", "our context")
    monkeypatch.setenv("SNAPDIR_STORE", "./s")
    cli(verb, "x")
    assert verbs.options["config"].keyed_context == "our context"


def test_without_a_home_the_message_names_the_way_out(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SNAPDIR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    run = cli(*PUSH, "x")
    assert (run.code, run.stderr.count("\n")) == (1, 1)
    assert "SNAPDIR_CACHE_DIR" in run.stderr
    assert cli("version").code == 0


def excludes(verbs: FakeVerbs, *args: str) -> list[str]:
    assert cli("id", *args, "x").code == 0
    patterns: list[str] = verbs.options["exclude"]
    return patterns


def test_excludes_repeat_and_split_at_commas(verbs: FakeVerbs) -> None:  # ARG-23
    assert excludes(verbs, "--exclude", "alpha,beta", "--exclude", "gamma") == ["alpha", "beta", "gamma"]
    assert excludes(verbs, "--exclude", "alpha,", "--exclude", "") == ["alpha"]  # an empty one would match everything


def test_a_comma_of_a_repetition_separates_nothing(verbs: FakeVerbs) -> None:
    assert excludes(verbs, "--exclude", r"a{1,2},b{3,},\{c,d\}") == ["a{1,2}", "b{3,}", r"\{c", r"d\}"]


def test_macros_are_expanded_per_pattern(verbs: FakeVerbs) -> None:  # ARG-24
    common, alpha = excludes(verbs, "--exclude", "%common%", "--exclude", "alpha")
    assert "node_modules" in common
    assert alpha == "alpha"
    assert verbs.options["no_follow"] is False


def test_the_system_macro_knows_home_and_cache_and_follows_no_links(verbs: FakeVerbs, isolated: Path) -> None:
    (system,) = excludes(verbs, "--exclude", "%system%")
    assert f"{isolated}/home/.cache/" in system
    assert f"{isolated}/cache" in system
    assert "/proc/" in system
    assert verbs.options["no_follow"] is True


def test_no_follow_is_offered_wherever_a_tree_is_read(verbs: FakeVerbs) -> None:
    for args in (["manifest"], ["id"], ["stage"], [*PUSH]):
        verbs.answers["manifest"] = Manifest(())
        assert cli(*args, "--no-follow", os.curdir).code == 0
        assert verbs.options["no_follow"] is True


@pytest.mark.parametrize(
    ("args", "most", "share"),
    [
        (["--adaptive"], 0, 0.8),
        (["--adaptive=0.5", "--jobs", "100"], 64, 0.5),
        (["--adaptive=1.0", "--max-jobs", "9", "-j20"], 9, 1.0),
        (["--max-jobs", "90"], 90, 1.0),
        (["--max-jobs", "90", "--jobs", "3"], 3, None),
    ],
)
def test_how_many_requests_adapt_and_what_they_take(
    args: list[str], most: int, share: float | None, verbs: FakeVerbs
) -> None:  # DER-06
    assert cli("push", "--store", "s3://b", *args, "x").code == 0
    stores = verbs.options["config"].stores
    assert (stores.max_concurrency, stores.adaptive) == (most, share)


@pytest.mark.parametrize("value", ["0", "1.1", "-0.5", "nan", "half", ""])
def test_a_share_is_a_fraction(value: str, verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:  # DER-06
    run = cli("push", "--store", "s3://b", f"--adaptive={value}", "x")
    assert (run.code, f"invalid --adaptive '{value}'" in run.stderr) == (2, True)
    if value:
        monkeypatch.setenv("SNAPDIR_ADAPTIVE", value)
        assert "invalid SNAPDIR_ADAPTIVE" in cli("push", "--store", "s3://b", "x").stderr


def test_a_share_needs_its_equals_sign(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:  # DER-06
    run = cli("push", "--store", "s3://b", "--adaptive", "0.5", "x")
    assert (run.code, "unexpected argument 'x'" in run.stderr) == (2, True)
    assert cli("push", "--store", "s3://b", "--adaptive", "--adaptive=0.5", "x").code == 2
    assert cli("push", "--store", "s3://b", "--", "--adaptive").code == 0
    assert verbs.args[0] == "--adaptive"
    monkeypatch.setenv("SNAPDIR_ADAPTIVE", "0.25")
    monkeypatch.setenv("SNAPDIR_MAX_JOBS", "12")
    cli("push", "--store", "s3://b", "x")
    stores = verbs.options["config"].stores
    assert (stores.max_concurrency, stores.adaptive) == (12, 0.25)
