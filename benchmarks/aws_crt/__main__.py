"""python -m benchmarks.aws_crt S3_CLIENT WORKLOAD BUCKET REGION TARGET_THROUGHPUT [--ram]"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.aws_crt.runner import Failed, run_workload
from benchmarks.aws_crt.workload import InvalidWorkload, Unsupported, read_workload
from snapdir import SnapdirError

__all__ = ["FAILED", "SKIPPED", "main"]

CLIENT = "snapdir"
SKIPPED = 123
FAILED = 255


def main(given: Sequence[str] | None = None) -> int:
    """Run one workload in the current directory: 0, 123 if it is not supported, or 255 if it failed."""
    arguments = _parser().parse_args(given)
    os.environ["AWS_REGION"] = arguments.REGION
    if arguments.S3_CLIENT != CLIENT:
        print(f"Skipping benchmark - this runner has the client {CLIENT}", file=sys.stderr)
        return SKIPPED
    try:
        workload = read_workload(Path(arguments.WORKLOAD))
        run_workload(workload, arguments.BUCKET, Path.cwd(), ram=arguments.ram, say=_say)
    except Unsupported as error:
        print(f"Skipping benchmark - {error}", file=sys.stderr)
        return SKIPPED
    except (InvalidWorkload, Failed, SnapdirError, OSError) as error:
        print(f"FAIL - {error}", file=sys.stderr)
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.aws_crt", description="Run one of AWS's public S3 workloads by snapdir."
    )
    parser.add_argument("S3_CLIENT", help=CLIENT)
    parser.add_argument("WORKLOAD", help="a .run.json file")
    parser.add_argument("BUCKET")
    parser.add_argument("REGION")
    parser.add_argument(
        "TARGET_THROUGHPUT", type=_positive, help="Gb/s of the host; snapdir finds its number of requests itself"
    )
    parser.add_argument("--ram", action="store_true", help="keep files in memory even if the workload has them on disk")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("a number above 0")
    return number


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
