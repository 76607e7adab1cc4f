"""Every setting is shown with its value and where that comes from."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from .conftest import cli

KNOBS = (
    "cache-dir", "store", "objects-store", "catalog", "jobs", "walk-jobs", "limit-rate", "adaptive", "max-jobs",
    "max-retries", "retry-base-ms", "retry-max-ms", "max-requests", "no-progress", "color", "fsync", "clonefile",
    "verify-copies",
)  # fmt: skip
OWN_KNOBS = (
    "memory", "part-size", "shared-catalog", "stall-timeout", "index-size", "max-manifest-size", "min-rate",
    "workers", "sse", "sse-kms-key-id", "acl", "storage-class", "request-payer", "no-sign-request", "pull-cache",
    "progress", "progress-interval", "log-level", "requests", "max-open-files", "memory-limit", "cpus",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAPDIR_PROGRESS_INTERVAL")


def shown(*args: str) -> dict[str, str]:
    """Knob to its value and source, up to the other variables."""
    run = cli(*args) if "defaults" in args else cli("defaults", *args)
    assert (run.code, run.stderr) == (0, "")
    lines = run.stdout.partition("other-env:")[0].splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_knobs_come_in_the_reference_order_and_ours_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNAPDIR_CACHE_DIR")  # DEF-01, DEF-02, DEF-03
    found = shown()
    assert list(found) == [*KNOBS, *OWN_KNOBS]
    cpus = min(len(os.sched_getaffinity(0)), 16)
    cache = tmp_path / "xdg" / "snapdir"
    assert found == {
        "cache-dir": f"{cache} source=default",
        "store": "none source=default",
        "objects-store": "none source=default",
        "catalog": f"{cache}/default-catalog.sqlite3 source=default",
        "jobs": f"{cpus} source=default",
        "walk-jobs": f"{cpus} source=default",
        "workers": f"{min(cpus - 1, 7)} source=default",
        "limit-rate": "none source=default",
        "adaptive": "off source=default",
        "max-jobs": "none source=default",
        "max-retries": "5 source=default",
        "retry-base-ms": "250 source=default",
        "retry-max-ms": "30000 source=default",
        "max-requests": "none source=default",
        "no-progress": "false source=default",
        "color": "auto source=default",
        "fsync": "batch source=default",
        "clonefile": "enabled source=default",
        "verify-copies": "disabled source=default",
        "memory": "128MiB source=default",
        "part-size": "8MiB source=default",
        "shared-catalog": "enabled source=default",
        "stall-timeout": "20 source=default",
        "index-size": "2GiB source=default",
        "max-manifest-size": "4GiB source=default",
        "min-rate": "1K source=default",
        "sse": "none source=default",
        "sse-kms-key-id": "none source=default",
        "acl": "none source=default",
        "storage-class": "none source=default",
        "request-payer": "none source=default",
        "no-sign-request": "false source=default",
        "pull-cache": "auto source=default",
        "progress": "auto source=default",
        "progress-interval": "30 source=default",
        "log-level": "none source=default",
        "requests": "8 source=default",
        "max-open-files": f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} source=rlimit",
        "memory-limit": "none source=default",
        "cpus": found["cpus"],
    }


@pytest.mark.parametrize("jobs", [["--jobs", "3"], ["--jobs=3"], ["-j", "3"], ["-j3"]])
def test_a_flag_beats_its_variable(jobs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:  # DEF-04, DER-35
    monkeypatch.setenv("SNAPDIR_JOBS", "9")
    found = shown(*jobs, "--cache-dir", "here", "--objects-store", "./pool")
    assert found["jobs"] == "3 source=flag"
    assert found["cache-dir"] == f"{Path.cwd()}/here source=flag"
    assert found["objects-store"] == "./pool source=flag"  # DEF-11
    assert found["catalog"].startswith(f"{Path.cwd()}/here/")


@pytest.mark.parametrize(
    ("variable", "value", "knob", "text"),
    [
        ("SNAPDIR_JOBS", "7", "jobs", "7"),  # DEF-05
        ("SNAPDIR_STORE", "file:///x", "store", "file:///x"),
        ("SNAPDIR_OBJECTS_STORE", "./pool", "objects-store", "./pool"),
        ("SNAPDIR_LIMIT_RATE", "1.5M", "limit-rate", "1.5M"),
        ("SNAPDIR_MAX_REQUESTS", "9", "max-requests", "9"),  # DEF-12
        ("SNAPDIR_MAX_RETRIES", "2", "max-retries", "2"),
        ("SNAPDIR_RETRY_BASE_MS", "11", "retry-base-ms", "11"),
        ("SNAPDIR_RETRY_MAX_MS", "12", "retry-max-ms", "12"),
        ("SNAPDIR_NO_PROGRESS", "1", "no-progress", "true"),
        ("SNAPDIR_CATALOG", "", "catalog", "none"),
        ("SNAPDIR_CLONEFILE", "0", "clonefile", "disabled"),  # DEF-10
        ("SNAPDIR_FSYNC", "off", "fsync", "off"),
        ("SNAPDIR_VERIFY_COPIES", "1", "verify-copies", "enabled"),
        ("SNAPDIR_MEMORY", "1GiB", "memory", "1GiB"),
        ("SNAPDIR_SSE", "AES256", "sse", "AES256"),
        ("SNAPDIR_ACL", "private", "acl", "private"),
        ("SNAPDIR_STORAGE_CLASS", "STANDARD_IA", "storage-class", "STANDARD_IA"),
        ("SNAPDIR_REQUEST_PAYER", "requester", "request-payer", "requester"),
        ("SNAPDIR_NO_SIGN_REQUEST", "1", "no-sign-request", "true"),
        ("SNAPDIR_PULL_CACHE", "1", "pull-cache", "enabled"),
        ("SNAPDIR_PULL_CACHE", "no", "pull-cache", "disabled"),
    ],
)
def test_a_variable_is_shown_as_such(
    variable: str, value: str, knob: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert shown()[knob] == f"{text} source=env"
    assert f"\n  {variable}={value}\n" in cli("defaults").stdout


def test_universal_flags_count_on_either_side() -> None:
    for args in (["--no-progress", "--color", "never", "defaults"], ["defaults", "--no-progress", "--color", "never"]):
        found = shown(*args)
        assert found["no-progress"] == "true source=flag"
        assert found["color"] == "never source=flag"


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_JOBS", "")
    assert shown()["jobs"].endswith("source=default")


def test_a_bad_value_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("defaults", "--jobs", "abc").code == 2
    for variable in ("SNAPDIR_JOBS", "SNAPDIR_FSYNC"):
        monkeypatch.setenv(variable, "abc")
        run = cli("defaults")
        assert (run.code, run.stdout) == (2, "")
        assert variable in run.stderr
        monkeypatch.delenv(variable)


def test_other_variables_are_listed_but_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:  # DEF-06, DEF-07, DEF-08
    assert "SNAPDIR_MANIFEST" not in cli("defaults").stdout
    for name, value in {
        "SNAPDIR_FOO": "bar",
        "SNAPDIR_API_TOKEN": "abc123",
        "SNAPDIR_VERSION_PIN": "1",
        "SNAPDIR_MANIFEST_CONTEXT": "x",
        "SNAPDIR_TWO": "a\nb",
        "OTHER_SNAPDIR": "no",
    }.items():
        monkeypatch.setenv(name, value)
    other = cli("defaults").stdout.partition("other-env:\n")[2].splitlines()
    cache = f"  SNAPDIR_CACHE_DIR={os.environ['SNAPDIR_CACHE_DIR']}"
    assert other == [
        "  SNAPDIR_API_TOKEN=(hidden)",
        cache,
        "  SNAPDIR_FOO=bar",
        "  SNAPDIR_MANIFEST_CONTEXT=x (legacy)",
        "  SNAPDIR_TWO=a\\nb",
    ]


def test_two_runs_say_the_same() -> None:  # DEF-09
    assert cli("defaults").stdout == cli("defaults").stdout


def test_the_settings_of_aws_are_shown_for_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    config = tmp_path / "config"
    config.write_text("[profile team]\nregion = eu-west-1\ncredential_process = /bin/false\n[default]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    found = shown("--store", "s3://bucket/sets")
    assert found["requests"] == "at most 256, adapts source=default"
    assert {name: value for name, value in found.items() if name.startswith("s3-")} == {
        "s3-endpoint": "https://bucket.s3.us-east-1.amazonaws.com source=default",
        "s3-region": "us-east-1 source=default",
        "s3-addressing": "virtual-hosted source=default",
        "s3-profile": "default source=default",
        "s3-credentials": "nowhere: no source is configured source=config",
    }
    monkeypatch.setenv("AWS_PROFILE", "team")
    found = shown("--store", "s3://bucket/sets")
    assert found["s3-region"] == "eu-west-1 source=config"
    assert found["s3-profile"] == "team source=env"
    assert found["s3-credentials"] == "credential_process of AWS profile 'team' source=config"
    for name, value in {"ACCESS_KEY_ID": "AKIDEXAMPLE", "SECRET_ACCESS_KEY": "canary"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9/base")
    found = shown("--store", "s3://bucket/sets", "--jobs", "7")
    assert found["requests"] == "7 source=flag"
    assert found["s3-endpoint"] == "http://127.0.0.1:9/base source=env"
    assert found["s3-addressing"] == "path source=default"
    assert found["s3-credentials"] == "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY source=env"
    assert "canary" not in str(found)
    assert "AKIDEXAMPLE" not in str(found)
    assert shown("--store", "s3://bucket/sets", "--no-sign-request")["s3-credentials"].startswith("none")


def test_a_profile_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    run = cli("defaults", "--store", "s3://bucket/sets")
    assert (run.code, run.stdout) == (2, "")
    assert "no AWS profile 'absent'" in run.stderr
