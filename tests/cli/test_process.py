"""The program as a process: exit codes, streams, signals, cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import ID, command_line, on_terminal, program

CLEANS_UP = f"""
import anyio, snapdir
async def id(*args, **options):
    try:
        open("started", "x").close()
        await anyio.sleep(60)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        open("cleaned-up", "x").close()
    return "{ID}"
snapdir.id = id
"""
NEVER_FOR_ID = ("rich", "uvloop", "botocore", "aiofiles", "re2", "concurrent.futures.process")


@pytest.fixture
def ten_files(tmp_path: Path) -> Path:
    tree = tmp_path / "ten"
    tree.mkdir()
    for number in range(10):
        (tree / f"file{number}").write_text(str(number))
    return tree


def test_the_module_is_the_program(ten_files: Path) -> None:
    run = program("id", str(ten_files))
    assert run.code == 0
    assert len(run.stdout) == 65
    assert run.stderr == ""


def test_a_missing_directory_is_one_line_naming_it() -> None:
    for verb in ("id", "manifest", "stage"):
        run = program(verb, "no/such/directory")
        assert (run.code, run.stdout) == (1, "")
        assert "no/such/directory" in run.stderr
        assert run.stderr.count("\n") == 1


def test_a_file_is_no_directory(ten_files: Path) -> None:
    run = program("id", str(ten_files / "file0"))
    assert (run.code, run.stdout) == (1, "")
    assert "file0" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_path_that_is_not_utf8_is_told_as_escaped_bytes() -> None:
    run = program("id", "caf\udce9")
    assert run.code == 1
    assert "caf\\xe9" in run.stderr


def test_an_ascii_stderr_gets_escapes() -> None:
    run = program("id", "naïve", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert run.code == 1
    assert "na\\xefve" in run.stderr


@pytest.mark.parametrize("args", [["manifest", "."], ["--help"], ["push", "--help"]], ids=" ".join)
def test_a_reader_that_left_ends_the_program_quietly(args: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command_line(*args), stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_behind_stdout_is_an_error(ten_files: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command_line("id", str(ten_files)), stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 1
    assert done.stderr == b"error: I/O error: standard output: No space left on device\n"


def test_closed_streams_crash_nothing(ten_files: Path) -> None:
    shell = 'exec "$0" -m snapdir id "$1"'
    for redirection, code in ((">&-", 1), ("2>&-", 0), ("2>&- </dev/null", 0)):
        done = subprocess.run(
            ["sh", "-c", f"{shell} {redirection}", sys.executable, str(ten_files)],
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, redirection
        assert b"Traceback" not in done.stderr


def test_a_closed_stdin_is_no_empty_manifest() -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m snapdir id <&-"], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"error: no directory given and no manifest on stdin")


def test_id_on_a_terminal_asks_for_a_path() -> None:  # DER-31
    screen = on_terminal("id", stdin=True)
    assert (screen.code, screen.stdout) == (1, b"")
    assert "no directory given and no manifest on stdin; pass a PATH (or `.`), or pipe a manifest" in screen.drawn


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_lets_the_verb_clean_up_and_says_nothing(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        command_line("id", "x", patch=CLEANS_UP), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(Path("started"))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (code, b"", b"")
    assert Path("cleaned-up").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("store", ["./store", "s3://bucket"])  # a loop of asyncio, and one of uvloop
def test_a_second_signal_ends_a_verb_that_waits_for_a_thread(store: str, number: signal.Signals) -> None:
    cleans_up_for_ever = """
import anyio, anyio.to_thread, threading, snapdir
async def verify(*args, **options):
    try:
        open("started", "x").close()
        await anyio.sleep(60)
    finally:
        open("cleaning-up", "x").close()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(threading.Event().wait)
snapdir.examine = snapdir.verify = verify
"""
    command = command_line("verify", "--store", store, "--id", ID, patch=cleans_up_for_ever)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(Path("started"))
        process.send_signal(number)
        wait_for(Path("cleaning-up"))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (-number, b"", b"")


@pytest.mark.parametrize("module", ["snapdir.errors", "click", "snapdir.cli.commands.manifest", "anyio"])
def test_an_interrupt_while_it_starts_says_nothing(module: str) -> None:
    interrupting = f"""
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["snapdir", "id", "."]
runpy.run_module("snapdir", run_name="__main__")
"""
    run = subprocess.run([sys.executable, "-c", interrupting], capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("args", [["id", "."], ["push", "--store", "./store", "tree"], ["status"]], ids=lambda a: a[0])
def test_a_directory_that_is_gone_is_said_to_be(args: list[str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    leaving = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})"
    run = subprocess.run(command_line(*args, patch=leaving), capture_output=True, timeout=60, check=False, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "error: I/O error: the current directory was removed: change to another directory\n"


def test_a_store_may_have_any_name_a_directory_can(ten_files: Path) -> None:
    assert program("push", "--store", "./s\udcff", str(ten_files)).code == 0
    found = program("ls", "./s\udcff")
    assert (found.code, found.stderr) == (0, "")
    refused = program("ls", "s3://bucket/\udcff")
    assert (refused.code, refused.stderr.count("\n")) == (1, 1)
    assert "is not UTF-8" in refused.stderr


def test_an_ignored_hangup_stays_ignored() -> None:
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{CLEANS_UP}"
    with subprocess.Popen(command_line("id", "x", patch=ignoring)) as process:
        wait_for(Path("started"))
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_id_imports_nothing_it_does_not_need(ten_files: Path) -> None:
    report = "import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))"
    run = program("id", str(ten_files), patch=report)
    loaded = run.stderr.partition("loaded ")[2].split()
    assert "click" in loaded
    assert not set(NEVER_FOR_ID) & set(loaded)
    verbs = {name for name in loaded if name.startswith("snapdir.cli.")}
    assert "snapdir.cli.commands.manifest" in verbs
    assert not verbs & {f"snapdir.cli.commands.{name}" for name in ("push", "pull", "verify")}


def test_only_a_store_across_a_network_gets_uvloop() -> None:
    which = """
import asyncio, snapdir
async def push(*args, **options):
    options["announce"](type(asyncio.get_running_loop()).__module__)
snapdir.push = push
"""
    assert program("push", "--store", "./s", "x", patch=which).stdout.startswith("asyncio.")
    assert program("push", "--store", "s3://bucket", "x", patch=which).stdout == "uvloop\n"
