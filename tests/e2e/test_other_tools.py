"""Each command that the README tells users of other tools to type runs on a real store and does what it stands for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.blocks import readers_environment
from tests.rclone_server import RcloneServer

README = Path(__file__).parents[2] / "README.md"
TOOLS = ["DVC", "aws s3", "Hugging Face Hub", "restic", "W&B Artifacts"]
ABOUT = b"Four shards of noise.\n"


class Row(NamedTuple):
    tool: str
    known: str
    typed: str


def rows() -> list[Row]:
    """The rows of the table, each with the bold name above it."""
    section = README.read_text().partition("\n## Coming from another tool\n")[2].partition("\n## ")[0]
    tool, found = "", []
    for known, typed in re.findall(r"^\| (.+?) \| (.*?) ?\|$", section, re.MULTILINE):
        if known.startswith("**"):
            tool = known.strip("*")
        elif typed.startswith("`"):
            found.append(Row(tool, known, typed.strip("`")))
    return found


class Reader:
    """Someone who works in ``folder`` and has pushed ``data`` to a bucket and, with the name v1, to a directory.

    The server of the tests has no conditional writes, which names need.
    """

    def __init__(self, folder: Path, environment: dict[str, str], bucket: str) -> None:
        self.folder = folder
        self.environment = environment
        self.bucket = bucket
        self.id = ""

    def types(self, command: str) -> bytes:
        """What the command prints, with the id and the bucket in the place of ID and BUCKET."""
        command = re.sub(r"\bID\b", self.id, command.replace("BUCKET", self.bucket))
        store = f"{self.folder}/store" if "v1" in command else f"s3://{self.bucket}/datasets"
        run = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env={**self.environment, "SNAPDIR_STORE": store},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stderr.decode()
        assert b"Traceback" not in run.stderr
        return run.stdout


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, s3_server: RcloneServer) -> Reader:
    home = tmp_path_factory.mktemp("reader")
    bucket = f"other-tools-{home.name}"
    s3_server.folder.joinpath(bucket).mkdir()
    for tree in ("data", "model"):
        home.joinpath(f"work/{tree}").mkdir(parents=True)
        home.joinpath(f"work/{tree}/shard-0.bin").write_bytes(os.urandom(100_000))
        home.joinpath(f"work/{tree}/README.md").write_bytes(ABOUT)
    someone = Reader(home / "work", readers_environment(home, s3_server), bucket)
    someone.id = someone.types("snapdir push data").decode().strip()
    someone.types("snapdir pull --id ID data")
    someone.types("snapdir push --store ./store data && snapdir tag v1 ID")
    return someone


def test_each_tool_has_five_rows() -> None:
    assert [row.tool for row in rows()] == [tool for tool in TOOLS for _ in range(5)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.tool}: {row.known.strip('`')}")
def test_what_the_table_says_to_type_works(row: Row, reader: Reader) -> None:
    printed = reader.types(row.typed).decode()
    verb, *arguments = row.typed.removeprefix("snapdir ").split()
    if verb == "push":
        assert printed.strip() == reader.types(f"snapdir id {arguments[-1]}").decode().strip()
    elif verb == "pull":
        pulled = reader.folder / arguments[-1]
        assert pulled.joinpath("shard-0.bin").read_bytes() == (reader.folder / "data/shard-0.bin").read_bytes()
        assert pulled.joinpath("README.md").exists() is ("--include" not in arguments)
    elif verb == "sync":
        assert reader.id in reader.types("snapdir ls s3://BUCKET/copy").decode()
    elif verb == "cat":
        assert printed.encode() == ABOUT
    elif verb == "ls":
        assert ("README.md" if "@" in row.typed else reader.id) in printed
    elif verb == "log":
        assert reader.id in printed
    elif verb == "ancestors":
        assert reader.folder.joinpath(arguments[-1]).stat().st_size > 0
    elif verb == "tag":
        assert reader.id in reader.types("snapdir tag --log v1").decode()
    else:
        assert verb in {"export", "status", "diff", "verify"}
        assert printed == "" or verb == "status"
