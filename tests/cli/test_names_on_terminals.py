"""Names with control characters: escaped on a terminal, exact for programs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from .conftest import cli, command_line

NAME = "a\x1b[2Jb\x9b31mc\x7fd\u202ee"
STEERING = [character.encode() for character in ("\x1b[2J", "\x9b", "\x7f", "\u202e")]


@pytest.fixture
def stores(isolated: Path) -> Path:
    """``with`` and ``without`` the name, and a directory ``out`` with what it should not have."""
    for store, names in {"with": [NAME, "same"], "without": ["same"]}.items():
        (isolated / store).mkdir()
        for name in names:
            (isolated / store / name).write_text(name)
        assert (
            cli(
                "push", "--store", f"./{store}-store", "--note", NAME, "--label", f"k={NAME}", f"{isolated}/{store}"
            ).code
            == 0
        )
    identifier = cli("id", f"{isolated}/without").stdout.strip()
    assert cli("pull", "--store", "./without-store", "--id", identifier, "out").code == 0
    Path("out", NAME).write_text("extra")
    return isolated


def watched(*args: str) -> bytes:
    """What a terminal on both streams is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command_line(*args), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    sent = b""
    try:
        while block := os.read(ours, 65536):
            sent += block
    except OSError:  # EIO: the other end is closed
        pass
    os.close(ours)
    process.wait(timeout=60)
    return sent


COMMANDS = [
    ["diff", "./without-store", "./with-store"],
    ["diff", "--json", "./without-store", "./with-store"],
    ["diff", "--name-only", "./without-store", "./with-store"],
    ["ls", "./with-store@ID"],
    ["ls", "--json", "./with-store@ID"],
    ["manifest", "--json", "TREE"],
    ["manifest", "TREE"],
    ["status", "out"],
    ["status", "--json", "out"],
    ["log", "./with-store"],
    ["log", "--json", "./with-store"],
    ["push", "--store", "./with-store", "absent-" + NAME],
    ["pull", "--store", "./without-store", "--id", "WITHOUT", "--delete", "--dryrun", "out"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]).replace(NAME, ""))
def test_no_name_steers_a_terminal(command: list[str], stores: Path) -> None:
    identifier = cli("id", f"{stores}/with").stdout.strip()
    without = cli("id", f"{stores}/without").stdout.strip()
    named = [
        word.replace("TREE", f"{stores}/with").replace("ID", identifier).replace("WITHOUT", without) for word in command
    ]
    sent = watched(*named)
    assert b"[2J" in sent
    for sequence in STEERING:
        assert sequence not in sent, sent


def test_pipes_get_the_bytes(stores: Path) -> None:
    assert cli("diff", "./without-store", "./with-store").stdout == f"A\t./{NAME}\n"
    found = cli("diff", "--json", "./without-store", "./with-store").stdout
    assert json.loads(found) == [{"status": "A", "path": f"./{NAME}"}]
    assert "\x9b" in found
    assert NAME in cli("manifest", f"{stores}/with").stdout
