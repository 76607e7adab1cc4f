"""The resources that a child process used."""

from __future__ import annotations

import os
import sys
import time

import pytest

from benchmarks.measuring import Outcome, run
from benchmarks.peers import Command

ENVIRONMENT = {"PATH": os.environ["PATH"]}
BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
HOLD = "data = bytearray(b'x') * (80 << 20)\n"


def python(code: str, **options: float) -> Outcome:
    return run(Command((sys.executable, "-S", "-c", code), {"NAME": "value"}), ENVIRONMENT, **options)


def test_output_environment_and_exit_code() -> None:
    outcome = python("import os, sys; print(os.environ['NAME']); print('bad', file=sys.stderr); sys.exit(3)")
    assert (outcome.stdout, outcome.stderr, outcome.returncode) == ("value\n", "bad\n", 3)


def test_cpu_is_counted_and_sleep_is_not() -> None:
    outcome = python(BURN + "time.sleep(0.3)")
    assert 0.3 <= outcome.user_seconds + outcome.system_seconds < outcome.wall_seconds
    assert outcome.wall_seconds >= 0.6


def test_cpu_of_children_is_counted() -> None:
    code = f"import os\nif os.fork() == 0:\n    exec({BURN!r})\n    os._exit(0)\nos.wait()"
    outcome = python(code)
    assert outcome.user_seconds + outcome.system_seconds >= 0.3


def test_peak_memory_is_that_of_the_process() -> None:
    assert python(HOLD + "del data").peak_rss_bytes >> 20 >= 80


def test_peak_memory_of_a_tree_is_their_sum() -> None:
    # Both hold 80 MiB of their own at the same time, for 50 looks.
    code = f"import os, time\npid = os.fork()\n{HOLD}\ntime.sleep(1)\nif pid: os.wait()"
    assert python(code).peak_rss_bytes >> 20 >= 160


def test_one_that_takes_too_long_is_ended_with_its_children() -> None:
    started = time.monotonic()
    outcome = python("import os, time\nos.fork()\ntime.sleep(60)", timeout_seconds=0.3)
    assert outcome.timed_out
    assert outcome.returncode == -9
    assert time.monotonic() - started < 30


def test_long_output_is_cut() -> None:
    outcome = python("import sys; print('x' * 9999); print('y' * 9999 + 'end', file=sys.stderr)")
    assert len(outcome.stdout) == 4000
    assert outcome.stderr.endswith("yend\n")
    assert len(outcome.stderr) == 4000


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        run(Command(("/nonexistent/program",)), ENVIRONMENT)
