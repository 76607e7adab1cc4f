"""snapdir bench: what this host can get out of a store."""

from __future__ import annotations

from functools import partial

import click

import snapdir
from snapdir.cli import bench_output, options
from snapdir.cli.invocation import Invocation
from snapdir.cli.loop import run_to_end
from snapdir.cli.parameters import Flag, Positional, Single, text, whole_number
from snapdir.cli.targets import is_remote, required_store
from snapdir.cli.verb import Verb
from snapdir.errors import InvalidOption

DEFAULT_SECONDS = 30
LONGEST_SECONDS = 3600


def _seconds(value: str, source: str) -> int:
    seconds = whole_number(value, source)
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise InvalidOption(f"invalid {source} '{value}': expected 1 to {LONGEST_SECONDS}")
    return seconds


@click.command(
    "bench",
    cls=Verb,
    params=[
        Positional("target", required=False, metavar="[STORE]", use="The store; default: --store."),
        *options.store(),
        Single(
            "--seconds",
            metavar="<N>",
            parse=_seconds,
            section="Measuring",
            help=f"Time for all measurements; default: {DEFAULT_SECONDS}. Clean-up comes on top.",
        ),
        Single(
            "--dir",
            "directory",
            metavar="<DIR>",
            parse=text,
            section="Measuring",
            help="Where the disk is measured: where pulls will go; default: the directory for temporary files.",
        ),
        Flag("--json", "as_json", is_flag=True, section="Output", help="Print one JSON document instead of tables."),
        Single(
            "--plot",
            metavar="<FILE>",
            parse=text,
            section="Output",
            help="Also draw the curves into this PNG file (needs matplotlib: pip install 'snapdir[bench]').",
        ),
        *options.retries(),
        *options.bucket(writing=True),
    ],
    examples=[
        "snapdir bench s3://bucket/sets",
        "snapdir bench s3://bucket/sets --dir ./data --json --plot bench.png",
    ],
)
@click.pass_obj
def command(
    invocation: Invocation,
    *,
    target: str | None,
    store: str | None,
    seconds: int | None,
    directory: str | None,
    as_json: bool,
    plot: str | None,
) -> None:
    """Measure what this host can get out of a store.

    Request rates and throughput against requests in flight, hashing and the disk; says what bounds transfers, and which
    --jobs and --part-size suit. Writes below .bench/ in the store, at most 300 MiB at a time, and removes it again.
    """
    url = required_store(target if target is not None else store)
    if plot is not None:
        bench_output.require_plotting()
    report = run_to_end(
        partial(
            snapdir.bench,
            url,
            seconds=seconds or DEFAULT_SECONDS,
            directory=directory,
            config=invocation.config,
            on_phase=partial(_say, invocation),
        ),
        remote=is_remote(url),
    )
    invocation.print(bench_output.as_json(report) if as_json else bench_output.as_tables(report))
    if report.leftover:
        invocation.terminal.warn(report.leftover)
    if plot is not None:
        bench_output.draw(report, plot)


def _say(invocation: Invocation, phase: str) -> None:
    """Who watches for half a minute sees what goes on; a log only gets it with --verbose."""
    if invocation.terminal.attended or invocation.terminal.verbose:
        invocation.terminal.note(phase)
