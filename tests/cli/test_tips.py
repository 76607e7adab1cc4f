"""What people type who know other tools gets the line to type here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from snapdir.cli.commands import COMMANDS, HIDDEN
from snapdir.cli.tips import OPTIONS, WORDS, line_with_options, of_other_options, of_other_tools

from .conftest import ID, cli, one_line

OTHER = (
    "gc rm prune cp add init upload download restore forget check stats find remote login dump history show info du"
    " mount copy snapshots unlock key config list delete remove s3 auth cache dag repro presign"
)
OTHER_OPTIONS = (
    "--revision --region --message --tag --local-dir --target --repo --transfers --profile --files-from --host -m -n -r"
    " -v"
)


@pytest.mark.parametrize("word", OTHER.split())
def test_a_word_of_another_tool_is_explained(word: str) -> None:
    run = cli(word)
    assert (run.code, run.stdout) == (2, "")
    error, _, tip = run.stderr.splitlines()[:3]
    assert error == f"error: unrecognized subcommand '{word}'"
    assert tip.startswith("  tip: ")


@pytest.mark.parametrize("option", OTHER_OPTIONS.split())
@pytest.mark.parametrize("command", ["push", "pull", "ls", "log"])
def test_an_option_of_another_tool_is_explained(command: str, option: str) -> None:
    run = cli(command, option, "x")
    assert (run.code, run.stdout) == (2, "")
    error, _, tip = run.stderr.splitlines()[:3]
    assert error == f"error: unexpected argument '{option}' found"
    assert tip.startswith("  tip: ")


def test_an_option_is_named_to_the_commands_that_have_it() -> None:
    assert "  tip: the option is '--note <TEXT>'\n" in cli("push", "--message", "x").stderr
    assert "  tip: `snapdir push --note TEXT` records" in cli("pull", "--message", "x").stderr
    assert "  tip: `snapdir push --note TEXT` records" in cli("--message", "x", "push").stderr


def test_no_option_is_explained_as_itself_but_that_of_ls() -> None:
    assert [option for option, tip in OPTIONS.items() if option in tip.here] == ["--recursive"]
    assert of_other_options("--nonsense", {}) == ""


def test_a_name_to_remove_gets_the_line_that_deletes_it() -> None:
    Path("data").mkdir()
    for typed in ("rm v1", "remove v1", "delete --store ./store v1", "rm -r v1"):
        assert "tip: `snapdir tag --delete v1` deletes the name v1;" in cli(*typed.split()).stderr
    for typed in ("rm data", f"rm {ID}", "rm ./v1"):
        assert "tip: a store keeps every snapshot;" in cli(*typed.split()).stderr


def test_no_command_has_a_tip() -> None:
    assert [word for word in WORDS if word in COMMANDS or word in HIDDEN] == []
    assert of_other_tools("GC") == of_other_tools("gc")
    assert of_other_tools("push") == ""


def test_the_commands_in_tips_exist() -> None:
    tips = [*WORDS.values(), *(option.elsewhere for option in OPTIONS.values())]
    named = {name for tip in tips for name in re.findall(r"`snapdir ([a-z-]+)", tip)}
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("push dataset s3://bucket/sets", "snapdir push dataset --store s3://bucket/sets"),
        ("push s3://bucket/sets dataset", "snapdir push --store s3://bucket/sets dataset"),
        ("push -j 4 dataset s3://bucket/sets", "snapdir push -j 4 dataset --store s3://bucket/sets"),
        ("push s3://bucket/sets", "snapdir push --store s3://bucket/sets"),
        (f"pull s3://bucket/sets@{ID} out", f"snapdir pull --store s3://bucket/sets --id {ID} out"),
        (f"pull ./store@{ID[:8]} out", f"snapdir pull --store ./store --id {ID[:8]} out"),
        ("pull s3://bucket/sets@release/1.0 out", "snapdir pull --store s3://bucket/sets --id release/1.0 out"),
        (f"pull {ID} out", f"snapdir pull --id {ID} out --store STORE"),
        (f"pull --store ./s {ID[:8]} out", f"snapdir pull --store ./s --id {ID[:8]} out"),
        (f"pull --store=./s {ID[:8]} out", f"snapdir pull --store=./s --id {ID[:8]} out"),
        (f"pull s3://bucket/sets {ID} out", f"snapdir pull --store s3://bucket/sets --id {ID} out"),
        (f"checkout {ID} out", f"snapdir checkout --id {ID} out"),
        (f"verify s3://bucket/sets@{ID}", f"snapdir verify --store s3://bucket/sets --id {ID}"),
        (f"fetch {ID} --store ./s", f"snapdir fetch --id {ID} --store ./s"),
        ("sync s3://a/b ./mirror", "snapdir sync --from s3://a/b --to ./mirror --all"),
        (f"sync ./a ./b --id {ID}", f"snapdir sync --from ./a --to ./b --id {ID}"),
        ("push 'my data' s3://bucket/sets", "snapdir push 'my data' --store s3://bucket/sets"),
        ("pull v1 out", "snapdir pull --id v1 out --store STORE"),
        ("pull release/1.0 out --store ./s", "snapdir pull --id release/1.0 out --store ./s"),
        ("pull latest ./out --store ./s", "snapdir pull --id latest ./out --store ./s"),
        ("pull s3://bucket/sets v1 out", "snapdir pull --store s3://bucket/sets --id v1 out"),
        ("checkout v1 out", "snapdir checkout --id v1 out"),
        ("verify v1", "snapdir verify --id v1 --store STORE"),
        ("verify s3://bucket/sets v1", "snapdir verify --store s3://bucket/sets --id v1"),
        ("fetch latest --store ./s", "snapdir fetch --id latest --store ./s"),
        ("ancestors v1 --store ./s", "snapdir ancestors --id v1 --store ./s"),
        ("sync v1 --from ./a --to ./b", "snapdir sync --id v1 --from ./a --to ./b"),
        ("sync ./a ./b v1", "snapdir sync --from ./a --to ./b --id v1"),
        ("sync --from ./a ./b", "snapdir sync --from ./a --to ./b --all"),
        ("sync ./a", "snapdir sync --from ./a --to STORE --all"),
        ("pull s3://bucket/sets out", "snapdir pull --store s3://bucket/sets out --id ID"),
        ("pull me/project/data:latest out --store ./s", "snapdir pull --id latest out --store ./s"),
        (
            "pull v1 docs/README.md --store ./s",
            "snapdir cat STORE@v1 docs/README.md --output README.md"
            " (for the whole snapshot: snapdir pull --id v1 DIR --store ./s)",
        ),
    ],
)
def test_stores_and_ids_as_arguments_get_the_line_with_options(typed: str, line: str) -> None:
    run = cli(*shlex.split(typed))
    assert (run.code, run.stdout) == (2, "")
    assert f"\n  tip: write: {line}\n" in run.stderr


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        (
            "pull --store ./s v1 -j 2",
            "write `snapdir pull --store ./s --id v1 DIR -j 2`,"
            " or if v1 is the directory, `snapdir pull --store ./s --id ID v1 -j 2`",
        ),
        (
            "pull v1",
            "write `snapdir pull --id v1 DIR --store STORE`,"
            " or if v1 is the directory, `snapdir pull --id ID v1 --store STORE`",
        ),
        (
            "checkout v1",
            "write `snapdir checkout --id v1 DIR`, or if v1 is the directory, `snapdir checkout --id ID v1`",
        ),
        ("pull --store ./s ./out", "write `snapdir pull --store ./s --id ID ./out` (ID: an id, a name, or latest)"),
        ("pull --store ./s data", "write `snapdir pull --store ./s --id ID data` (ID: an id, a name, or latest)"),
        ("pull ./s@v1", "write `snapdir pull --id v1 DIR --store ./s`"),
    ],
)
def test_one_argument_without_an_id_gets_the_line_for_what_it_may_be(typed: str, advice: str) -> None:
    Path("data").mkdir()
    assert one_line(cli(*typed.split())).startswith(f"missing --id option: {advice}")
    assert sorted(Path().iterdir()) == [Path("data")]


def test_the_line_can_be_typed(tmp_path: Path) -> None:
    Path("dataset").mkdir()
    Path("dataset/a").write_text("a")
    (tmp_path / "store").mkdir()
    tip = (
        cli("push", "dataset", f"file://{tmp_path}/store")
        .stderr.partition("tip: write: snapdir ")[2]
        .partition("\n")[0]
    )
    pushed = cli(*shlex.split(tip))
    assert pushed.code == 0
    tip = cli("pull", f"{tmp_path}/store@{pushed.stdout.strip()}", "out").stderr.partition("write: snapdir ")[2]
    assert cli(*shlex.split(tip.partition("\n")[0])).code == 0
    assert Path("out/a").read_text() == "a"


def test_a_variable_names_the_store_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_STORE", "./store")
    assert f"  tip: write: snapdir pull --id {ID} out\n" in cli("pull", ID, "out").stderr


@pytest.mark.parametrize("secret", ["canary", "can/ary", "can@a/ry"])
def test_a_secret_in_a_store_is_not_shown(secret: str) -> None:
    run = cli("push", "dataset", f"s3://AKID:{secret}@bucket/sets")
    assert run.code == 2
    assert "tip: write: snapdir push dataset --store s3://…@bucket/sets\n" in run.stderr
    assert secret not in cli("pull", "--store", f"s3://AKID:{secret}@bucket/sets", "v1").stderr


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("sync data s3://bucket/sets", "snapdir push --store s3://bucket/sets data"),
        ("sync s3://bucket/sets data", "snapdir pull --store s3://bucket/sets --id latest data"),
        ("sync s3://bucket/sets out", "snapdir pull --store s3://bucket/sets --id latest out"),
        ("sync s3://bucket/sets store", ""),
        ("sync store s3://bucket/sets", ""),
        ("sync s3://bucket/sets s3://bucket/copy", ""),
    ],
)
def test_a_sync_with_a_directory_is_a_push_or_a_pull(typed: str, line: str) -> None:
    Path("data").mkdir()
    Path("store/.manifests").mkdir(parents=True)
    source, target = typed.split()[1:]
    copy = f"snapdir sync --from {source} --to {target} --all"
    wanted = f"{line} (for a copy of the whole store: {copy})" if line else copy
    assert f"\n  tip: write: {wanted}\n" in cli(*typed.split()).stderr


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("tag create v1", "snapdir tag v1 ID"),
        ("tag delete v1", "snapdir tag --delete v1"),
        ("tag rm", "snapdir tag --delete NAME"),
        ("tag list", "snapdir tag"),
    ],
)
def test_a_subcommand_of_tag_is_no_name(typed: str, line: str) -> None:
    run = cli(*typed.split(), "--store", "./s")
    assert run.code == 2
    assert f"\n  tip: write: {line}\n" in run.stderr
    assert cli("tag", "--delete", "list", "--store", "./s").code == 1


def test_a_diff_of_one_directory_names_status() -> None:
    assert "`snapdir status DIR` compares a directory" in cli("diff", "data").stderr


def test_an_id_that_is_given_leaves_other_arguments_as_they_are() -> None:
    for typed in ("pull --id v1 one two", "pull --id=v1 one two", "push one two", "status one two three"):
        assert "tip:" not in cli(*typed.split()).stderr


def test_a_surplus_directory_has_no_tip() -> None:
    run = cli("push", "--store", "./s", "one", "two")
    assert "unexpected argument 'two' found" in run.stderr
    assert "tip:" not in run.stderr
    assert line_with_options("id", ["one", "two"], ["one", "two"], []) == ""


def test_a_directory_with_the_name_of_an_id_is_a_directory() -> None:
    Path("12345678").mkdir()
    run = cli("push", "--store", "./s", "12345678", "two")
    assert "tip:" not in run.stderr


def test_pull_writes_into_no_directory_with_the_name_of_a_store(tmp_path: Path) -> None:
    run = cli("pull", "--store", "./s", "--id", ID, "s3://bucket/sets")
    assert run.code == 2
    assert "'s3://bucket/sets' is a store, not a directory" in run.stderr
    assert list(Path().iterdir()) == []


def test_a_file_is_not_a_directory() -> None:
    Path("weights.bin").write_text("w")
    for command in (("push", "--store", "./s"), ("id",), ("stage",), ("manifest",)):
        assert one_line(cli(*command, "weights.bin")).endswith(
            "weights.bin: not a directory: snapdir takes a directory, with all files in it"
        )


@pytest.mark.parametrize(
    ("address", "store"),
    [
        ("https://sets.s3.eu-west-1.amazonaws.com/a/b", "s3://sets/a/b"),
        ("https://sets.s3.amazonaws.com/", "s3://sets"),
        ("https://sets.s3-us-west-2.amazonaws.com/a", "s3://sets/a"),
        ("https://my.sets.s3.dualstack.eu-west-1.amazonaws.com/a%20b", "s3://my.sets/a b"),
        ("https://s3.eu-west-1.amazonaws.com/sets/a", "s3://sets/a"),
        ("https://s3.amazonaws.com/sets", "s3://sets"),
        (
            "https://eu-west-1.console.aws.amazon.com/s3/buckets/sets?region=eu-west-1&prefix=a/b/&showversions=false",
            "s3://sets/a/b",
        ),
        (
            "http://127.0.0.1:9000/sets/a?X-Amz-Signature=canary",
            "s3://sets/a, and set SNAPDIR_S3_STORE_ENDPOINT_URL=http://127.0.0.1:9000",
        ),
        (
            "https://user:canary@0123.r2.cloudflarestorage.com/sets",
            "s3://sets, and set SNAPDIR_S3_STORE_ENDPOINT_URL=https://0123.r2.cloudflarestorage.com",
        ),
        ("https://[bad", "s3://bucket/prefix"),
    ],
)
def test_the_web_address_of_a_bucket_gets_its_store(address: str, store: str) -> None:
    for args in (["push", "--store", address, "."], ["ls", address], ["verify", "--store", address, "--id", ID]):
        error = one_line(cli(*args))
        assert error.endswith(f"a web address is not a store: write {store}")
        assert "canary" not in error


def test_a_program_may_serve_web_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "snapdir-https-store"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    Path("a").touch()
    assert "web address" not in cli("push", "--store", "https://host/sets", ".").stderr


MISSING = [
    ["pull", "--store", "./none", "--id", ID, "out"],
    ["fetch", "--store", "./none", "--id", ID],
    ["verify", "--store", "./none", "--id", ID],
    ["ls", "./none"],
    ["size", "--store", "./none", "--id", ID],
    ["log", "./none"],
    ["log", "--store", "./none"],
    ["revisions", "--store", "./none"],
    ["sync", "--from", "./none", "--to", "./other", "--all"],
    ["sync", "--from", "./none", "--to", "./other", "--id", ID],
]


@pytest.mark.parametrize("args", MISSING, ids=" ".join)
def test_a_missing_store_is_the_same_error_for_every_command(args: list[str]) -> None:
    run = cli(*args)
    assert (run.code, run.stderr.splitlines()[-1].partition(";")[0]) == (
        1,
        f"error: store error: store directory does not exist: {Path('none').absolute()}",
    )
    assert not Path("none").exists()


def test_an_empty_store_has_no_history() -> None:
    Path("empty/.manifests").mkdir(parents=True)
    for args in (["log", "./empty"], ["revisions", "--store", "./empty"]):
        assert cli(*args).code == 0


@pytest.mark.parametrize(
    "args",
    [
        ["--nonsense"],
        ["push"],
        ["pull", "--store", "./none", "--id", ID, "x"],
        ["verify-cache", "--id", ID],
        ["id", "-"],
    ],
    ids=" ".join,
)
def test_every_error_has_one_prefix(args: list[str]) -> None:
    run = cli(*args)
    assert run.code != 0
    assert run.stderr.startswith("error: ")


def test_a_store_in_an_id_gets_the_two_options() -> None:
    advice = "; for STORE@v2 write --store STORE --id v2\n"
    assert cli("pull", "--id", "s3://bucket/sets@v2", "x").stderr.endswith(advice)
    assert cli("descendants", "--id", "./store@v2").stderr.endswith(advice)


def test_a_relative_path_as_a_store_gets_its_spelling() -> None:
    assert cli("push", "--store", "datasets/foo", ".").stderr.endswith("; write ./datasets/foo\n")
