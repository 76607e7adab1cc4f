"""Names are bytes: no locale changes an id, a name or output, on the command line and through the Python API."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Program, Run

NAMES = ["\u00e9t\u00e9", "\u65e5\u672c", "na\u00efve/\U0001f600.txt", "plain"]
UTF8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
NOT_UTF8 = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "latin-1": {"LC_ALL": "latin1", "PYTHONUTF8": "0"},
}
if shutil.which("localedef") is None:
    del NOT_UTF8["latin-1"]

PULL = """
import os, sys
from snapdir import blocking
from snapdir import Counters
expected, store, tree, out = sys.argv[1:]
assert blocking.id(tree) == blocking.push(tree, store) == expected
blocking.pull(expected, store, out)
assert blocking.id(out) == expected
assert blocking.status(out).clean
counters = Counters()
open(os.path.join(out, os.fsdecode("\u00fcbrig".encode())), "w").close()
blocking.pull(expected, store, out, counters=counters)
assert counters.extra == ["./\u00fcbrig"], ascii(counters.extra)
blocking.pull(expected, store, out, delete=True)
assert blocking.status(out).clean
blocking.pull(expected, store, out + "-part", include=["na\u00efve"])
assert os.listdir(os.fsencode(out + "-part")) == ["na\u00efve".encode()]
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a locale whose names are Latin-1, where the system can make one."""
    folder = tmp_path_factory.mktemp("locales")
    if "latin-1" in NOT_UTF8:
        command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "latin1")]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(params=NOT_UTF8)
def elsewhere(program: Program, locales: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    for name in ("LANG", "LC_CTYPE", "LC_ALL", "PYTHONUTF8", "PYTHONCOERCECLOCALE"):
        program.environment.pop(name, None)
    return {"LOCPATH": str(locales), **NOT_UTF8[request.param]}


@pytest.fixture
def names(program: Program) -> Path:
    folder = program.folder / "tree"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def raw_names(folder: Path) -> list[bytes]:
    return sorted(os.fsencode(path.relative_to(folder)) for path in folder.rglob("*"))


def test_no_locale_changes_what_the_program_does(program: Program, names: Path, elsewhere: dict[str, str]) -> None:
    def both(*args: str) -> Run:
        run = program(*args, env=elsewhere)
        assert run == program(*args, env=UTF8), args
        return run

    identifier = both("id", "tree").stdout.strip()
    assert both("push", "--store", "./\u00e9", "tree").stdout.strip() == identifier
    for command in (
        ("manifest", "tree"),
        ("ls", f"./\u00e9@{identifier}"),
        ("pull", "--store", "./\u00e9", "--id", identifier, "pulled"),
        ("pull", "--store", "./\u00e9", "--id", identifier, "--include", "na\u00efve", "part"),
        ("status", "--json", "pulled"),
        ("diff", "tree", "part"),
        ("id", "--exclude", "t\u00e9$", "tree"),
        ("locations",),
    ):
        assert both(*command).code in (0, 1), command
    assert raw_names(program.folder / "pulled") == raw_names(names)
    assert raw_names(program.folder / "part") == sorted(["na\u00efve".encode(), NAMES[2].encode()])


def test_nor_what_a_program_of_ones_own_does(program: Program, names: Path, elsewhere: dict[str, str]) -> None:
    identifier = program.id("id", "tree", env=UTF8)
    script = program.folder / "script.py"
    script.write_text(PULL)
    command = [sys.executable, str(script), identifier, "./store", "tree", "pulled"]
    done = subprocess.run(command, check=False, capture_output=True, **program.options(elsewhere))
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert raw_names(program.folder / "pulled") == raw_names(names)
    assert program.id("id", "pulled", env=UTF8) == identifier


def test_a_name_that_is_not_utf8_is_refused_everywhere(
    program: Program, names: Path, elsewhere: dict[str, str]
) -> None:
    (names / os.fsdecode(b"caf\xe9")).touch()
    for environment in (elsewhere, UTF8):
        program("id", "tree", env=environment).failed_clearly("not valid UTF-8")
    command = [sys.executable, "-c", "import snapdir.blocking as b; b.id('tree')"]
    done = subprocess.run(command, check=False, capture_output=True, **program.options(elsewhere))
    assert b"the name is not valid UTF-8" in done.stderr
