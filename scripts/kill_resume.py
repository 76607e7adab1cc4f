"""Kill runs, and check that the next run uses and removes what they left.

    python scripts/kill_resume.py [--s3sim PATH] [--mib 1024] [--mbps 20] [--kills 200] [--seed 1] [--minutes 10]

First a push and a pull of one large object are killed with SIGKILL (skipped with ``--mib 0``): by the server's counts,
the second run may transfer at most the missing parts and one more for each stream. Then every verb that writes is
killed at random moments (SIGKILL, and in two of five cases SIGINT or SIGTERM): after one complete run of the same
command, and one that writes something else to the same place, no temporary may be left and the bytes must be right.
Exits with 1 if a check fails or the time is too short.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kills import random_kills
from s3sim import Server, add_option, binary_of, leading_to, running

MIB = 1 << 20
PART_MIB = 8
STREAMS = 32
STORE = "s3://kill/resume"
START_SECONDS = 60


def snapdir(server: Server, cache: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = leading_to(server.endpoint) | {"SNAPDIR_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-m", "snapdir", *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def kill_after(process: subprocess.Popen[str], server: Server, kind: str, count: int) -> None:
    """Kill the process when the server has counted ``count`` requests of a kind."""
    deadline = time.monotonic() + START_SECONDS
    while server.counts().get(kind, 0) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"it ended or stalled before {count} requests of kind {kind}")
        time.sleep(0.02)
    process.kill()
    process.communicate()


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the second run failed with {process.returncode}")
    return output.strip()


def parts_written(temporary: Path, parts: int) -> int:
    """Parts in the journal behind the object's bytes, which has one byte for each part."""
    return temporary.read_bytes()[-parts:].count(1)


def checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").hexdigest()


def main() -> int:
    # A shell makes background processes and their children ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Kill runs, and check what the next run does.")
    add_option(parser)
    parser.add_argument("--mib", type=int, default=1024, help="size of the large object; 0 skips it")
    parser.add_argument("--mbps", type=int, default=20, help="MB/s of one connection")
    parser.add_argument("--kills", type=int, default=200, help="kills at random moments")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10, help="time limit of the random kills")
    options = parser.parse_args()
    good = not options.mib or count_resumed(options)
    with tempfile.TemporaryDirectory(prefix="snapdir-kills.") as name:
        folder = Path(name)
        with running(binary_of(options.s3sim, folder), "--mbps", str(options.mbps)) as server:
            seconds = 60 * options.minutes
            good &= random_kills(folder, server, count=options.kills, seed=options.seed, seconds=seconds)
    return 0 if good else 1


def count_resumed(options: argparse.Namespace) -> bool:
    """Whether a second push and pull transferred only the missing parts."""
    parts = -(-options.mib // PART_MIB)
    with tempfile.TemporaryDirectory(prefix="snapdir-kill.") as name:
        folder = Path(name)
        tree, out, cache = folder / "tree", folder / "out", folder / "cache"
        tree.mkdir()
        with (tree / "large").open("wb") as file:
            block = random.Random(3).randbytes(MIB)
            for number in range(options.mib):
                file.write(number.to_bytes(8, "little") + block[8:])
        with running(binary_of(options.s3sim, folder), "--mbps", str(options.mbps)) as server:
            kill_after(snapdir(server, cache, "push", "--store", STORE, str(tree)), server, "UploadPart", parts // 2)
            had = server.counts(reset=True)["UploadPart"]
            identifier = finished(snapdir(server, cache, "push", "--store", STORE, str(tree)))
            sent = server.counts(reset=True)["UploadPart"]
            print(f"push: {parts} parts; {had} when it was killed; {sent} in the second run", flush=True)
            pull = ("pull", "--store", STORE, "--id", identifier, str(out))
            kill_after(snapdir(server, cache, *pull), server, "GetObject", parts // 2)
            (left,) = [*cache.rglob("*.part"), *out.rglob("*.part")]
            whole_parts = parts_written(left, parts)
            server.counts(reset=True)
            finished(snapdir(server, cache, *pull))
            received = server.counts()["GetObject"] - 1  # one request is for the manifest
            print(
                f"pull: {parts} parts; {whole_parts} written when it was killed;"
                f" {received} requests for the others in the second run"
            )
        right = checksum(tree / "large") == checksum(out / "large")
    print(f"bytes are {'right' if right else 'WRONG'}")
    return right and sent <= parts - had + STREAMS and received <= parts - whole_parts + STREAMS


if __name__ == "__main__":
    sys.exit(main())
