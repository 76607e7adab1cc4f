"""What a command says of its progress where stderr is no terminal: lines for a log, or JSON; and its requests."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snapdir import blocking
from snapdir.cli.job_lines import JobLines
from snapdir.cli.terminal import Terminal
from snapdir.transfer.engine.events import Counters

from .conftest import ID, cli, command_line, on_terminal, program
from .demanding_s3 import Bucket

STEADY = f"""
import anyio, snapdir
async def steady(*args, counters, announce=None, **options):
    counters.phase, counters.total_is_final = "verify", True
    counters.files_total, counters.bytes_total = 10, 10_000_000
    for _ in range(10):
        await anyio.sleep(0.02)
        counters.files_done += 1
        counters.bytes_done += 1_000_000
    counters.warnings.append("careful")
    if args[0] == "fails":
        raise snapdir.SnapdirError("no luck")
    if announce:
        await anyio.to_thread.run_sync(announce, "{ID}")
    return "{ID}"
snapdir.push = snapdir.id = steady
"""
PUSH = ("push", "--store", "./s")
STARTED = re.compile(r"push: started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC").fullmatch
STATE = re.compile(r"push: \[0:\d\d\] (starting|verifying \d+%, \d+/10 files, .*)").fullmatch


def test_a_job_has_a_line_at_its_start_some_on_its_way_and_one_at_its_end() -> None:
    run = program(*PUSH, "--progress-interval", "0.05", "x", patch=STEADY)
    first, *states, warning, last = run.stderr.splitlines()
    assert (run.code, run.stdout) == (0, f"{ID}\n")
    assert STARTED(first)
    assert states
    assert all(map(STATE, states))
    assert warning == "warning: careful"
    assert re.fullmatch(r"push: done: 10 file\(s\), 9\.54 MiB, .*", last)


def test_a_job_that_fails_says_so_before_the_error() -> None:
    run = program(*PUSH, "--progress-interval", "9", "fails", patch=STEADY)
    first, *_, failed, error = run.stderr.splitlines()
    assert run.code == 1
    assert STARTED(first)
    assert re.fullmatch(r"push: failed after 0:\d\d", failed) or failed == "warning: careful"
    assert error == "error: no luck"
    assert any(line.startswith("push: failed after") for line in run.stderr.splitlines())


@pytest.mark.parametrize("args", [["-q"], ["--no-progress"], ["--progress", "none"], ["--progress-interval", "0"]])
def test_flags_silence_the_lines(args: list[str]) -> None:
    run = program(*PUSH, "x", *args, patch=STEADY, env={**os.environ, "SNAPDIR_PROGRESS_INTERVAL": "0.05"})
    assert run.stderr in ("warning: careful\n", "")
    assert (run.stderr == "") == (args == ["-q"])


def test_the_interval_is_a_variable_too() -> None:
    run = program(*PUSH, "x", patch=STEADY, env={**os.environ, "SNAPDIR_PROGRESS_INTERVAL": "0.05"})
    assert STARTED(run.stderr.splitlines()[0])


def test_by_default_a_quick_command_says_nothing() -> None:
    env = {name: value for name, value in os.environ.items() if name != "SNAPDIR_PROGRESS_INTERVAL"}
    patient = "import snapdir.cli.job_lines; snapdir.cli.job_lines.PATIENCE_SECONDS = 60\n"  # a busy machine is slow
    assert program(*PUSH, "x", patch=patient + STEADY, env=env).stderr == "warning: careful\n"
    hasty = "import snapdir.cli.job_lines; snapdir.cli.job_lines.PATIENCE_SECONDS = 0\n"
    lines = program(*PUSH, "x", patch=hasty + STEADY, env=env).stderr.splitlines()
    assert STARTED(lines[0])
    assert lines[-1].startswith("push: done: ")
    assert len(lines) == 3  # half a minute has not passed


def test_a_terminal_has_the_progress_line_instead() -> None:
    drawn = on_terminal(*PUSH, "--progress-interval", "0.05", "x", patch=STEADY).drawn
    assert "push: " not in drawn


def test_lines_come_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters("verify", 10, 0, True)
    lines = JobLines(counters, Terminal(interval_seconds=None), command="push", transfers=True)
    for second in range(95):
        lines.look(lines.began + second)
    lines.conclude("")
    shown = capsys.readouterr().err.splitlines()
    assert [line.partition("]")[0] for line in shown[1:-1]] == ["push: [0:30", "push: [1:00", "push: [1:30"]


def test_a_command_that_reads_says_nothing_before_it_counts_files(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters()
    lines = JobLines(counters, Terminal(interval_seconds=1.0), command="diff", transfers=False)
    lines.look(lines.began + 5)
    lines.conclude("")
    lines.fail(stopped=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["-1", "soon", "1e3", ""])
def test_a_bad_interval_is_a_usage_error(value: str) -> None:
    run = cli("push", "--store", "./s", "--progress-interval", value)
    assert run.code == 2
    assert "invalid --progress-interval" in run.stderr


def events_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_with_progress_json_every_line_is_an_event() -> None:
    run = program(*PUSH, "--progress", "json", "--progress-interval", "0.05", "x", patch=STEADY)
    first, *states, warning, last = events_of(run.stderr)
    assert (run.code, run.stdout) == (0, f"{ID}\n")
    assert first == {"event": "start", "command": "push"}
    assert states
    assert {state["event"] for state in states} == {"progress"}
    assert warning == {"event": "warning", "message": "careful"}
    assert (last["event"], last["files_done"], last["bytes_done"], last["part"]) == ("end", 10, 10_000_000, 1.0)
    assert list(last) == list(states[0])


@pytest.mark.parametrize("args", [["--progress=json"], []])
def test_an_error_is_an_event_too(args: list[str]) -> None:
    env = {**os.environ, "SNAPDIR_PROGRESS_INTERVAL": "9", **({} if args else {"SNAPDIR_PROGRESS": "json"})}
    events = events_of(program(*PUSH, *args, "fails", patch=STEADY, env=env).stderr)
    assert [event["event"] for event in events if event["event"] != "progress"] == [
        "start", "failed", "warning", "error",
    ]  # fmt: skip
    assert events[-1] == {"event": "error", "error": "IO_ERROR", "message": "no luck", "exit_code": 1}


def test_a_flag_beats_the_variable() -> None:
    env = {**os.environ, "SNAPDIR_PROGRESS": "json"}
    assert program(*PUSH, "--progress", "auto", "fails", patch=STEADY, env=env).stderr.endswith("error: no luck\n")


@pytest.mark.parametrize("how", [["--progress", "json"], ["--progress-interval", "0.02"]])
def test_a_closed_stderr_stops_the_lines_and_not_the_command(how: list[str]) -> None:
    env = {
        name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"
    }  # which has no buffer to lose
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command_line(*PUSH, *how, "x", patch=STEADY),
        stdout=subprocess.PIPE,
        stderr=writer,
        check=False,
        timeout=60,
        env=env,
    )
    os.close(writer)
    assert (done.returncode, done.stdout.decode()) == (0, f"{ID}\n")
    without = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command_line(*PUSH, *how, "x", patch=STEADY)],
        stdout=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert (without.returncode, without.stdout.decode()) == (0, f"{ID}\n")


@pytest.fixture
def in_bucket(bucket: Bucket, tree: Path) -> str:
    return "s3://bucket/sets"


def test_log_level_debug_shows_every_request(in_bucket: str, tree: Path, bucket: Bucket) -> None:
    run = cli("push", "--store", in_bucket, "--log-level", "debug", str(tree))
    assert run.code == 0, run.stderr
    requests = re.findall(
        r"^debug: (GET|HEAD|PUT|POST|DELETE) (/\S+) (\d{3}), \d+ ms, attempt (\d+)$", run.stderr, re.MULTILINE
    )
    written = [key for method, key, status, _ in requests if (method, status) == ("PUT", "200")]
    assert any("/sets/.objects/" in key for key in written)
    assert any("/sets/.manifests/" in key for key in written)
    assert f"{in_bucket}: endpoint {bucket.endpoint}, region us-east-1, addressing path, profile default" in run.stderr
    assert "credentials from the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in run.stderr
    assert "secret" not in run.stderr.lower().replace("aws_secret_access_key", "")
    assert "AKIDEXAMPLE" not in run.stderr


def test_verbose_shows_the_store_and_no_requests(in_bucket: str, tree: Path, bucket: Bucket) -> None:
    run = cli("push", "--store", in_bucket, "--verbose", str(tree))
    assert f"{in_bucket}: endpoint {bucket.endpoint}" in run.stderr
    assert "debug:" not in run.stderr
    assert cli("push", "--store", in_bucket, "--verbose", "-q", str(tree)).stderr == ""


def test_verify_verbose_shows_them_too(in_bucket: str, tree: Path, bucket: Bucket) -> None:
    pushed = cli("push", "--store", in_bucket, str(tree)).stdout.strip()
    run = cli("verify", "--store", in_bucket, "--id", pushed, "--verbose")
    assert f"{in_bucket}: endpoint {bucket.endpoint}" in run.stderr
    assert re.search(r"^verified 2 object\(s\), ", run.stderr, re.MULTILINE)


def test_logged_requests_are_events_with_fields(in_bucket: str, tree: Path) -> None:
    run = cli("push", "--store", in_bucket, "--log-level", "debug", "--progress", "json", str(tree))
    logged = [event for event in events_of(run.stderr) if event["event"] == "log" and event["level"] == "debug"]
    assert {tuple(event) for event in logged} == {
        ("event", "level", "message", "method", "key", "status", "ms", "attempt"),
    }  # fmt: skip


def test_quiet_silences_the_log(in_bucket: str, tree: Path) -> None:
    assert cli("push", "--store", in_bucket, "--log-level", "debug", "-q", str(tree)).stderr == ""


def test_a_logged_warning_is_an_event_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def warn(*_: Any, **__: Any) -> str:
        logging.getLogger("snapdir.stores.s3.upload").warning("not aborted")
        return ID

    monkeypatch.setattr("snapdir.id", warn)
    events = events_of(cli("id", "--progress", "json", "x").stderr)
    assert {"event": "log", "level": "warning", "message": "not aborted"} in events


def test_the_logger_of_python_has_the_same(in_bucket: str, tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="snapdir")
    blocking.push(tree, in_bucket)
    requests = [record for record in caplog.records if record.name == "snapdir.requests"]
    assert {record.method for record in requests} >= {"PUT"}  # type: ignore[attr-defined]
    assert all(record.attempt == 1 and record.status and record.ms >= 0 for record in requests)  # type: ignore[attr-defined]
    assert any(": endpoint " in record.getMessage() for record in caplog.records)


def test_without_the_log_a_pool_is_a_plain_one() -> None:
    from snapdir.stores.s3.http.pool import Pool
    from snapdir.stores.s3.logged_pool import pool_class

    assert pool_class() is Pool


def test_after_a_command_the_logger_is_as_before(in_bucket: str, tree: Path) -> None:
    logger = logging.getLogger("snapdir")
    before = (logger.level, list(logger.handlers))
    cli("push", "--store", in_bucket, "--log-level", "debug", str(tree))
    assert (logger.level, list(logger.handlers)) == before


def test_a_line_of_the_log_cannot_steer_a_terminal() -> None:
    from snapdir.cli.log_lines import _Lines

    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        _Lines(Terminal()).emit(logging.LogRecord("snapdir", logging.DEBUG, "", 0, "a\x1b[2Jb", (), None))
    assert stream.getvalue() == "debug: a\\x1b[2Jb\n"
