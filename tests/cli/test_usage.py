"""Arguments that the command line accepts, refuses and explains."""

from __future__ import annotations

import pytest

from snapdir.cli.commands import COMMANDS, GROUPS

from .conftest import ID, FakeVerbs, cli

STORE = "--store"


def test_without_arguments_the_help_goes_to_stderr() -> None:  # DER-01
    run = cli()
    assert run.code == 2
    assert run.stdout == ""
    assert "Usage: snapdir [OPTIONS] <COMMAND>" in run.stderr


def test_help_lists_the_verbs_by_purpose_and_only_universal_options() -> None:  # SURF-01
    run = cli("--help")
    assert run.code == 0
    lines = run.stdout.splitlines()
    assert lines[2] == "Usage: snapdir [OPTIONS] <COMMAND>"
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2].isalpha()]
    assert listed == [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(COMMANDS)
    assert [f"{group}:" for group in GROUPS] == [line for line in lines if line[:-1] in GROUPS]
    assert "--store" not in run.stdout
    assert "`snapdir help COMMAND`" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize(
    "args",
    [
        ["ls", ID, "a", "s3://b/sets"],
        ["log", "a", "s3://b/sets"],
        ["bench", "s3://a", "s3://b"],
        ["diff", "s3://a", "s3://b", ID],
    ],
)
def test_a_store_or_an_id_in_its_own_place_is_not_told_so(args: list[str]) -> None:
    run = cli(*args)
    assert (run.code, run.stdout) == (2, "")
    assert "options name stores" not in run.stderr


def test_an_option_before_its_command_is_told_where_it_belongs() -> None:
    run = cli("--store", "./s", "push", "tree")
    assert (run.code, run.stdout) == (2, "")
    assert "\n  tip: options of a command go after it: snapdir COMMAND --store\n" in run.stderr


@pytest.mark.parametrize("args", [["--version"], ["-V"], ["version"]])
def test_version_is_name_and_number(args: list[str], verbs: FakeVerbs) -> None:  # SURF-02
    assert cli(*args).stdout == "snapdir 1.2.3\n"


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_a_help_with_its_usage_and_two_examples(verb: str) -> None:  # SURF-07
    for flag in ("-h", "--help"):
        run = cli(verb, flag)
        assert run.code == 0
        assert f"Usage: snapdir {verb} [OPTIONS]" in run.stdout
        assert run.stdout.split("Examples:\n")[1].count("snapdir") >= 2
        assert "--color <WHEN>" in run.stdout


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_a_version(verb: str, verbs: FakeVerbs) -> None:
    assert cli(verb, "-V").stdout == f"snapdir-{verb} 1.2.3\n"


@pytest.mark.parametrize(
    ("verb", "shown", "not_shown"),
    [
        ("id", ["--walk-jobs", "SNAPDIR_WALK_JOBS", "--exclude"], ["--store", " --jobs", "--cache-dir", "--id "]),
        ("manifest", ["--absolute", "--checksum-bin", "--no-follow", "--catalog"], ["--store", " --jobs"]),
        ("push", ["--jobs", "--store", "SNAPDIR_STORE", "--recheck", "--memory"], ["--delete", "--keep"]),
        ("verify", ["--store", "--id", "--repair-from"], ["staged", "Staged", "--purge", "--dryrun"]),
        (
            "checkout",
            ["--no-overwrite", "--force", "--keep", "--preserve-special-modes", "--delete"],
            [" --store", "--no-cache"],
        ),
        (
            "pull",
            ["--no-cache", "--store", "--cache-dir", "--include", "--exclude", "--shard"],
            ["--recheck", "--to"],
        ),
    ],
)
def test_a_help_shows_the_verbs_own_flags(verb: str, shown: list[str], not_shown: list[str]) -> None:  # SURF-08, -09
    text = cli(verb, "--help").stdout
    assert [flag for flag in shown if flag not in text] == []
    assert [flag for flag in not_shown if flag in text] == []


@pytest.mark.parametrize(
    "args", [["flush-cache", "--json"], ["version", "--json"], ["id", "--store", "./s"]], ids=" ".join
)
def test_options_that_only_share_letters_are_not_similar(args: list[str]) -> None:
    run = cli(*args)
    assert (run.code, "tip:" in run.stderr) == (2, False)


def test_a_usage_error_has_four_parts() -> None:  # SURF-03
    run = cli("bogus")
    assert run.code == 2
    assert run.stdout == ""
    assert run.stderr == (
        "error: unrecognized subcommand 'bogus'\n\n"
        "Usage: snapdir [OPTIONS] <COMMAND>\n\n"
        "For more information, try '--help'.\n"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--nonsense"], "unexpected argument '--nonsense' found"),
        (["pus"], "a similar subcommand exists: 'push'"),
        (["-q"], "requires a subcommand"),
        (["push", "--stroe", "x"], "a similar argument exists: '--store'"),
        (["id", "--jobs", "4", "x"], "unexpected argument '--jobs' found"),
        (["manifest", "--jobs", "2"], "unexpected argument '--jobs' found"),
        (["manifest", "--id", ID], "unexpected argument '--id' found"),
        (["manifest", "--limit-rate", "1M"], "unexpected argument '--limit-rate' found"),
        (["id", "--catalog", "c"], "unexpected argument '--catalog' found"),
        (["id", "--debug"], "unexpected argument '--debug' found"),
        (["id", "--paths", "x"], "unexpected argument '--paths' found"),
        (["id", "a", "b"], "unexpected argument 'b' found"),
        (["flush-cache", "--id", ID], "unexpected argument '--id' found"),
        (["--exclude", "alpha", "manifest"], "unexpected argument '--exclude' found"),
        (["push", "--store"], "a value is required for '--store <URI>' but none was supplied"),
        (["id", "--quiet=yes"], "unexpected value for '--quiet'"),
        (["push", "--store", "./a", "--store", "./b"], "the argument '--store <URI>' cannot be used multiple times"),
        (["fetch", "--id", ID, "--id", ID], "the argument '--id <ID>' cannot be used multiple times"),
        (["push", "-j", "2", "--jobs", "3"], "the argument '--jobs <N>' cannot be used multiple times"),
        (["id", "--color", "bogus"], "invalid --color 'bogus': expected auto, always or never"),
        (["push", "--jobs", "abc"], "invalid --jobs 'abc': expected a whole number"),
        (["push", "--jobs", "-1"], "invalid --jobs '-1'"),
        (["push", "--memory", "lots"], "invalid --memory 'lots': expected a size"),
        (["push", "--part-size", "1K"], "invalid --part-size '1K': expected 1MiB to 5GiB"),
        (["push", "--stall-timeout", "0"], "invalid --stall-timeout '0': expected 1 or more seconds"),
        (["push", "--memory", "2MiB"], "cannot hold one part"),
        (["push", "--store", "./s", "--label", "x"], "invalid --label 'x': expected KEY=VALUE"),
        (["push", "--store", "./s", "--label", "x=1", "--label", "x=2"], "x is given twice, first as '1'"),
        (["push", "--catalog", "a", "--catalog", "b"], "the argument '--catalog <NAME>' cannot be used multiple times"),
        (["push", "--cache-dir", ""], "invalid --cache-dir ''"),
        (["verify", "--dryrun", "--repair-from", "x"], "'--dryrun' cannot be used with '--repair-from <DIR>'"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_why(args: list[str], said: str, verbs: FakeVerbs) -> None:
    run = cli(*args)
    assert run.code == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert said in run.stderr
    assert "\n\nUsage: snapdir" in run.stderr
    assert run.stderr.endswith("For more information, try '--help'.\n")
    assert verbs.calls == []


def test_a_usage_error_names_the_verb() -> None:  # ARG-01
    assert "Usage: snapdir id [OPTIONS] [PATH]" in cli("id", "--jobs", "4").stderr


@pytest.mark.parametrize("flag", [["-q"], ["--quiet"], ["--verbose"], ["--no-progress"], ["--color", "auto"]])
def test_universal_flags_stand_before_or_after_the_verb(flag: list[str], verbs: FakeVerbs) -> None:  # ARG-11, DER-02
    for args in ([*flag, "id", "x"], ["id", *flag, "x"], ["id", "x", *flag], [*flag, "id", "x", *flag]):
        run = cli(*args)
        assert (run.code, run.stdout) == (0, f"{ID}\n"), args


@pytest.mark.parametrize(
    "args",
    [
        ["stage", "--store", "s3://b", "--id", ID, "--force", "--keep", "--catalog", "none", "x"],
        ["stage", "--limit-rate", "1M", "--max-retries", "2", "--max-requests", "9", "x"],
        ["push", "--store", "./s", "--force", "--keep", "--catalog", "none", "x"],
        ["fetch", "--store", "./s", "--id", ID, "--force", "--keep", "--catalog", "any"],
        ["checkout", "--store", "./s", "--id", ID, "--catalog", "any", "x"],
        ["verify", "--store", "./s", "--id", ID, "--force", "--dryrun", "--cache-dir", "c"],
        ["flush-cache", "--store", "./s", "--purge", "--force"],
    ],
)
def test_flags_that_change_nothing_for_a_verb_are_taken(args: list[str], verbs: FakeVerbs) -> None:
    assert cli(*args).code == 0
    assert len(verbs.calls) == 1
