"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import charts, results
from benchmarks.compare_commits import compare
from benchmarks.peers import PEERS
from benchmarks.performance_page import newest_summaries, page
from benchmarks.places import PROJECT, work_folder
from benchmarks.scale.arithmetic import scaling_page
from benchmarks.scale.bars import FULL_FILES
from benchmarks.scale.lines import GROUPS, ScalePlan, measure_scale
from benchmarks.scale.section import scale_section
from benchmarks.scale.short import scale_short
from benchmarks.scenarios import PROFILES, SCENARIOS
from benchmarks.servers import BUCKET, Unavailable
from benchmarks.session import Plan, measure, say
from benchmarks.short import short_run
from benchmarks.tables import record_markdown

PAGE = PROJECT / "docs" / "performance.md"
ARITHMETIC = PROJECT / "docs" / "scaling.md"


def main(given: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    arguments = _parser().parse_args(given)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that server and client are stopped
    try:
        code: int = arguments.run(arguments)
    except (Unavailable, LookupError, OSError) as error:
        say(str(error.args[0]) if len(error.args) == 1 else str(error))
        return 2
    except subprocess.CalledProcessError as error:
        say(f"{error}\n{(error.stderr or b'').decode()}" if isinstance(error.stderr, bytes) else str(error))
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure snapdir against its peers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="measure and write a record")
    run.add_argument("--peer", action="append", default=[], metavar="NAME", help=f"another client: {', '.join(PEERS)}")
    run.add_argument("--endpoint", default="", metavar="URL", help="use a running server and the AWS_* variables")
    run.add_argument("--bucket", default=BUCKET, help="its bucket (default: %(default)s)")
    run.add_argument("--short", action="store_true", help="ours alone, in seconds; fails on wrong counts")
    run.add_argument("--no-record", action="store_true", help="print the tables and write no record")
    run.set_defaults(run=_run)

    scale = commands.add_parser("scale", help="a million files, and other sizes: measure and write a record")
    scale.add_argument("--files", type=_positive, default=FULL_FILES, metavar="N", help="(default: %(default)s)")
    scale.add_argument(
        "--scenario", action="append", default=[], choices=tuple(GROUPS), help="one group; may be repeated"
    )
    scale.add_argument(
        "--timeout", type=_positive, default=900, metavar="SECONDS", help="of each command (default: %(default)s)"
    )
    scale.add_argument("--short", action="store_true", help="100,000 files; fails on memory, opens or requests")
    scale.add_argument("--no-record", action="store_true", help="print the tables and write no record")
    scale.set_defaults(run=_scale)

    report = commands.add_parser("report", help="write docs/performance.md and the charts from the newest records")
    report.set_defaults(run=_report)

    comparison = commands.add_parser("compare", help="compare two commits of ours; . is the working tree")
    comparison.add_argument("old")
    comparison.add_argument("new")
    comparison.set_defaults(run=_compare)

    listing = commands.add_parser("list", help="list the scenarios")
    listing.set_defaults(run=_list)
    clean = commands.add_parser("clean", help="remove the generated trees")
    clean.set_defaults(run=_clean)

    for command in (run, scale, clean):
        command.add_argument("--on", default="", metavar="DIR", help="trees, destinations and caches below DIR")
    for command in (run, comparison):
        command.add_argument(
            "--scenario",
            action="append",
            default=[],
            metavar="NAME",
            help="name, tree or verb, or a pattern",
        )
        command.add_argument("--profile", choices=tuple(PROFILES), default="fast")
        command.add_argument("--rounds", type=_positive, default=3)

    return parser


def _positive(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


def _run(arguments: argparse.Namespace) -> int:
    if arguments.short:
        return _short()
    plan = Plan(
        profile=arguments.profile,
        scenarios=arguments.scenario,
        peers=arguments.peer,
        rounds=arguments.rounds,
        endpoint=arguments.endpoint.rstrip("/"),
        bucket=arguments.bucket,
        on=arguments.on,
        command=_command_line(arguments.on),
    )
    record = measure(plan)
    print(record_markdown(record))
    if record.runs and not arguments.no_record:
        say(f"wrote {results.write(record).relative_to(PROJECT)}; python -m benchmarks report updates the page")
    return 0


def _command_line(on: str) -> str:
    """The command line for the record, without a path of this machine."""
    words = [word.replace(on, "DIR") if on else word for word in sys.argv[1:]]
    return shlex.join(["python", "-m", "benchmarks", *words])


def _short() -> int:
    text, wrong = short_run()
    print(text)
    for complaint in wrong:
        say(complaint)
    return 1 if wrong else 0


def _scale(arguments: argparse.Namespace) -> int:
    if arguments.short:
        text, wrong = scale_short(work_folder(0, on=arguments.on))
        print(text)
        for complaint in wrong:
            say(complaint)
        return 1 if wrong else 0
    plan = ScalePlan(
        files=arguments.files,
        scenarios=arguments.scenario,
        timeout_seconds=arguments.timeout,
        command=_command_line(arguments.on),
    )
    record = measure_scale(plan, work_folder(0, on=arguments.on))
    print(scale_section(dict.fromkeys((run.scenario for run in record.runs), record)))
    if not arguments.no_record:
        say(f"wrote {results.write(record).relative_to(PROJECT)}; python -m benchmarks report updates the pages")
    return 0


def _report(_: argparse.Namespace) -> int:
    records = results.load_all()
    if charts.available():
        for profile, summaries in newest_summaries(records).items():
            if profile not in PROFILES:
                continue
            charts.draw(profile, PROFILES[profile].about, summaries, results.RESULTS)
    else:
        say("no charts: matplotlib is not installed (the extra bench)")
    PAGE.write_text(page(records, beside=PAGE.parent))
    ARITHMETIC.write_text(scaling_page(records))
    say(f"wrote {PAGE.relative_to(PROJECT)} and {ARITHMETIC.relative_to(PROJECT)}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    print(
        compare(
            arguments.old,
            arguments.new,
            profile=arguments.profile,
            scenarios=arguments.scenario,
            rounds=arguments.rounds,
        )
    )
    return 0


def _list(_: argparse.Namespace) -> int:
    for scenario in SCENARIOS:
        tree = scenario.tree
        size = f"{tree.file_count:6} files {tree.size / (1 << 20):8.1f} MiB"
        print(f"{scenario.name:26} {size}  {', '.join(scenario.profiles)}")
    return 0


def _clean(arguments: argparse.Namespace) -> int:
    folder = work_folder(0, on=arguments.on)
    for name in ("trees", "destinations", "caches", "home", "tls", "served"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
