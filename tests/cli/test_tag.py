"""snapdir tag, latest and --label: what is said, and what bad input gets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from snapdir.model.keys import manifest_key

from .conftest import ID, Run, cli, one_line

STORE = "./store"


@pytest.fixture
def ids(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three pushes into STORE, which SNAPDIR_STORE names."""
    monkeypatch.setenv("SNAPDIR_STORE", STORE)
    tree = isolated / "tree"
    tree.mkdir()
    pushed = []
    for number, flags in enumerate((["--label", "stage=raw"], ["--label", "stage=clean", "--note", "cleaned"], [])):
        (tree / "file").write_text(str(number))
        pushed.append(cli("push", *flags, str(tree)).stdout.strip())
    return pushed


def test_a_name_is_set_moved_and_deleted_and_that_is_said(ids: list[str]) -> None:
    assert cli("tag", "v1", ids[0]) == Run(0, "", f"v1 is {ids[0]}\n")
    assert cli("tag", "v1", ids[1][:9]) == Run(0, "", f"v1 is {ids[1]}, and was {ids[0]}\n")
    assert cli("tag", "--delete", "v1") == Run(0, "", f"deleted v1, which was {ids[1]}\n")
    assert "there is no name 'v1' in file://" in one_line(cli("tag", "--delete", "v1"))
    assert cli("tag", "v1", "latest").stderr == f"latest is {ids[2]}\nv1 is {ids[2]}\n"
    rows = [line.split("\t") for line in cli("tag", "--log", "v1").stdout.splitlines()]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("sequence", "id", "previous"),
        ("4", ids[2], ""),
        ("3", "", ids[1]),
        ("2", ids[1], ids[0]),
        ("1", ids[0], ""),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", rows[1][1])
    assert re.fullmatch(r"[!-~]+@[!-~]+", rows[1][4])
    limited = cli("tag", "--log", "v1", "--limit", "2")
    assert len(limited.stdout.splitlines()) == 3
    assert limited.stderr == "the newest 2 values are shown; --limit 0 shows all\n"


def test_the_names_of_a_store_are_listed_the_latest_change_first(ids: list[str]) -> None:
    empty = cli("tag")
    assert (empty.code, empty.stderr) == (0, f"no names in {STORE}: `snapdir tag NAME ID` sets one\n")
    for name, wanted in (("b", ids[0]), ("a", ids[1]), ("team/x", ids[0]), ("a", ids[0])):
        cli("tag", name + "-name", wanted)
    assert [json.loads(line)["name"] for line in cli("tag", "--json").stdout.splitlines()] == [
        "a-name",
        "team/x-name",
        "b-name",
    ]


def test_a_source_of_another_store_is_said_and_recorded(ids: list[str], isolated: Path) -> None:
    cli("tag", "v1", ids[0])
    url = f"file://{isolated}/current/store"
    (isolated / "sources").write_text(f"# of the data\n{STORE}@v1\n{url}@{ids[1]}\n")
    run = cli("push", "--store", "./models", "--derived-from", f"@{isolated}/sources", "--json", str(isolated / "tree"))
    assert run.stderr == f"{url}@v1 is {ids[0]}\n"
    assert json.loads(run.stdout)["names"] == {f"{url}@v1": ids[0]}
    (row,) = map(json.loads, cli("log", "--json", "./models").stdout.splitlines())
    assert row["derived_from"] == ids[:2]
    refused = cli("push", "--store", "./other", "--derived-from", f"{STORE}@v9", str(isolated / "tree"))
    assert f"'v9' is not 64 hexadecimal digits, nor the first 8 or more of them, nor a name in {url}" in one_line(
        refused
    )
    assert not Path("other").exists()


@pytest.mark.parametrize(
    "line", [["fetch", "--label", "stage=clean"], ["size", f"{STORE}@latest", STORE], ["ls", "{}"]]
)
def test_a_command_has_one_start_and_one_end_in_its_events(
    ids: list[str], isolated: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setenv("SNAPDIR_PROGRESS_INTERVAL", "10")
    line = [word.format(f"file://{isolated}/current") for word in line]
    run = cli("--progress", "json", *line)
    events = [json.loads(text) for text in run.stderr.splitlines()]
    assert sorted(event["event"] for event in events if event["event"] in ("start", "end")) == ["end", "start"], run
    named = {"event": "name", "name": "latest", "id": ids[1], "chosen_by": {"stage": "clean"}}
    assert (named in events) is (line[0] == "fetch")


def test_a_label_that_is_chosen_warns_once(ids: list[str], isolated: Path) -> None:
    (isolated / "tree/file").write_text("clean again")
    again = cli("push", "--label", "stage=clean", str(isolated / "tree")).stdout.strip()
    Path(STORE, manifest_key(again)).unlink()
    said = cli("pull", "--label", "stage=clean", "out").stderr
    assert f"the newest push with stage=clean is {ids[1]}\n" in said
    assert said.count("the newest push with stage=clean that is there was taken") == 1


def test_an_expectation_is_kept(ids: list[str]) -> None:
    assert cli("tag", "v1", ids[0], "--expect", "none").code == 0
    taken = one_line(cli("tag", "v1", ids[1], "--expect", "none"))
    assert taken == f"conflict: v1 is {ids[0]}, but no such name was expected; nothing was changed"
    assert f"v1 is {ids[0]}, but {ids[1]} was expected" in one_line(cli("tag", "v1", ids[2], "--expect", ids[1]))
    assert "was expected" in one_line(cli("tag", "--delete", "v1", "--expect", ids[1]))
    for args in (["v1", ids[1]], ["--delete", "v1"]):
        run = cli("tag", *args, "--expect", "v1")
        assert (run.code, "checks nothing" in run.stderr) == (2, True)
    assert cli("tag", "v2", "v1", "--expect", "none").code == 0
    assert cli("tag", "v1", ids[1], "--expect", "v2").code == 0


def test_what_a_name_stood_for_is_said(ids: list[str], isolated: Path) -> None:
    cli("tag", "v1", ids[0])
    said = f"v1 is {ids[0]}\n"
    assert cli("pull", "--id", "v1", "out").stderr == said
    assert cli("-q", "pull", "--id", "v1", "out").stderr == ""
    run = cli("verify", "--id", "v1", "--json")
    assert (run.stderr, json.loads(run.stdout)["id"]) == (said, ids[0])
    for args in (["ls", f"{STORE}@v1"], ["ls", "--id", "v1"], ["size", f"{STORE}@v1"], ["fetch", "--id", "v1"]):
        assert cli(*args).stderr == said
    assert cli("checkout", "--id", "v1", "again").stderr == said
    assert cli("diff", f"{STORE}@v1", f"{STORE}@latest").stderr == f"{said}latest is {ids[2]}\n"
    assert cli("diff", "v1", "latest", "--store", STORE).stdout == "M\t./file\n"
    assert said in cli("sync", "--from", STORE, "--to", "./copy", "--id", "v1").stderr
    assert cli("verify-cache", "--id", "v1").stderr == said
    assert cli("locations", "--id", "v1", "--store", STORE).stderr == said
    assert cli("cat", f"{STORE}@v1", "file").stderr == said
    assert cli("status", "--id", "v1", "out").stderr.startswith(said)
    pushed = cli("push", "--derived-from", "v1", str(isolated / "tree"))
    assert pushed.stderr == said


def test_a_label_chooses_among_the_pushes(ids: list[str]) -> None:
    label = ["--label", "stage=clean"]
    said = f"the newest push with stage=clean is {ids[1]}\n"
    for args in (["pull", "out"], ["pull", "--id", "latest", "out"], ["verify"], ["fetch"], ["ls", STORE]):
        assert cli(*args, *label).stderr == said, args
    assert cli("ls", f"{STORE}@latest", *label).stderr == said
    pulled = json.loads(cli("pull", "--json", "out", *label).stdout)
    assert (pulled["names"], pulled["chosen_by"]) == ({"latest": ids[1]}, {"stage": "clean"})
    assert cli("sync", "--from", STORE, "--to", "./copy", *label).stdout == f"{ids[1]}\n"
    assert "no push with stage=none is recorded" in one_line(cli("verify", "--label", "stage=none"))
    assert cli("verify", "--id", ids[0], *label).code == 2
    assert cli("sync", "--from", STORE, "--to", "./copy", "--all", *label).code == 2
    assert cli("verify", "--label", "stage").code == 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../../etc/passwd", "a part that begins with a dot|one that begins with a dot"),
        ("cafe", "hexadecimal digits only"),
        ("", "has 0 characters"),
        ("x" * 300, "has 300 characters"),
        ("latest", "is reserved"),
        ("none", "is reserved"),
        ("a b", "other characters"),
        ("v\x1b[2J", "other characters"),
    ],
)
def test_what_cannot_be_a_name_is_told(ids: list[str], name: str, why: str) -> None:
    for args in ([name, ids[0]], ["--delete", name], ["--log", name]):
        assert re.search(why, one_line(cli("tag", *args)))


def test_arguments_that_do_not_go_together(ids: list[str]) -> None:
    for args in (
        ["v1"],
        ["--delete"],
        ["--log"],
        ["--expect", "none"],
        ["--delete", "--log", "v1"],
        ["--delete", "v1", ids[0]],
        ["--log", "v1", "--unsafe"],
        ["v1", ids[0], "--limit", "3"],
        ["v1", ids[0], "more"],
    ):
        run = cli("tag", *args)
        assert (run.code, run.stdout) == (2, ""), args
    assert "is missing: write `snapdir tag v1 ID`" in cli("tag", "v1").stderr
    assert f"the name comes first: snapdir tag v1 {ids[0]}" in cli("tag", ids[0], "v1").stderr


def test_a_snapshot_or_a_store_that_is_not_there(ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"manifest not found: {ID}" in one_line(cli("tag", "v1", ID))
    assert "store directory does not exist" in one_line(cli("tag", "--store", "./none", "v1", ids[0]))
    assert "requires in-process stores" in one_line(cli("tag", "--store", "prog://x", "v1", ids[0]))
    monkeypatch.delenv("SNAPDIR_STORE")
    assert "--store" in one_line(cli("tag", "v1", ids[0]))
    assert "give --store" in one_line(cli("checkout", "--id", "v1", "out"))


@pytest.mark.parametrize("verb", ["ancestors", "descendants", "revisions"])
def test_a_name_in_a_store_that_is_not_there(ids: list[str], verb: str) -> None:
    place = ["--location", STORE] if verb == "revisions" else []
    for name in ("latest", "v1"):
        run = cli(verb, "--id", name, "--store", "./missing", *place)
        assert "store directory does not exist" in one_line(run)


@pytest.mark.parametrize("line", [["ls"], ["size"], ["report", "--json"], ["cat", "file"]])
def test_a_store_program_is_refused_in_words_that_fit_every_command(isolated: Path, line: list[str]) -> None:
    run = cli(line[0], f"prog://host/p@{ID}" if line[0] == "cat" else "prog://host/p", *line[1:])
    assert run.code == 1
    assert "invalid store URI: this requires in-process stores" in run.stderr


def test_latest_of_a_store_without_pushes(isolated: Path) -> None:
    (isolated / "empty").mkdir()
    store = str(isolated / "empty")
    assert "latest: no push is recorded in" in one_line(cli("pull", "--store", store, "--id", "latest", "out"))
    assert not Path("out").exists()


def test_latest_passes_over_what_a_mirror_removed(ids: list[str]) -> None:
    Path(STORE, manifest_key(ids[2])).unlink()
    gone = "1 snapshot(s) that were pushed to"
    for args in (["pull", "--id", "latest", "out"], ["ls", f"{STORE}@latest"], ["verify", "--id", "latest"]):
        run = cli(*args)
        assert run.code == 0, run
        assert f"latest is {ids[1]}\n" in run.stderr
        assert gone in run.stderr
    assert Path("out/file").read_text() == "1"
    assert gone not in cli("verify", "--label", "stage=raw").stderr
    for snapshot_id in ids[:2]:
        Path(STORE, manifest_key(snapshot_id)).unlink()
    assert f"manifest not found: {ids[2]}" in one_line(cli("pull", "--id", "latest", "none"))
    assert f"manifest not found: {ids[0]}" in one_line(cli("pull", "--label", "stage=raw", "none"))


def test_log_is_searched(ids: list[str]) -> None:
    def found(*args: str) -> list[str]:
        return [json.loads(line)["id"] for line in cli("log", "--json", *args).stdout.splitlines()]

    assert found("--label", "stage=clean") == [ids[1]]
    assert found("--label", "stage=clean", "--label", "stage2=x") == []
    assert found("--note", "CLEAN") == [ids[1]]
    assert found("--since", "1h") == found("--since", "2020-01-01") == found("--since", "7d") == ids[::-1]
    assert found("--since", "2200-01-01T00:00+02:00") == []
    assert cli("log", "--note", "nothing").stderr == f"no revision of {STORE} matches --label, --since and --note\n"
    for bad in ("yesterday", "7y", "2026-13-01", "", "9" * 30 + "d"):
        run = cli("log", "--since", bad)
        assert (run.code, run.stdout) == (2, ""), bad
        assert "expected a date (2026-11-30, 2026-11-30T12:00) or an age (7d, 12h)" in run.stderr


def test_ls_of_a_place_above_stores_lists_them(ids: list[str], isolated: Path) -> None:
    run = cli("ls", f"file://{isolated}/current")
    url = f"file://{isolated}/current/store"
    assert run == Run(0, f"store\n{url}\n", f"no snapshots directly in file://{isolated}/current; stores below it: 1\n")
    assert json.loads(cli("ls", "--json", f"file://{isolated}/current").stdout) == {"store": url}


def test_names_are_in_the_report_of_a_store(ids: list[str]) -> None:
    for name in ("v2", "best"):
        cli("tag", name, ids[1])
    snapshots = json.loads(cli("report", STORE, "--json").stdout)["snapshots"]
    assert {each["id"]: each["names"] for each in snapshots} == {ids[0]: [], ids[1]: ["best", "v2"], ids[2]: []}


def test_an_unknown_name_gets_those_of_its_store(ids: list[str], isolated: Path) -> None:
    place = f"file://{isolated}/current/store"
    listing = f"list its names with `snapdir tag --store {place}`"
    for args in (["--delete", "v2"], ["--log", "v2"]):
        assert one_line(cli("tag", *args)) == f"there is no name 'v2' in {place}; {listing}"
    for name in ("v1", "release/1.0", "best", "gone", "old", "v3", "base"):
        cli("tag", name, ids[0])
    cli("tag", "--delete", "gone")
    for args in (["--delete", "v2"], ["--log", "v2"]):
        error = one_line(cli("tag", *args))
        assert error.startswith(f"there is no name 'v2' in {place}; it has ")
        assert error.endswith(f"; {listing}")
        shown = error.partition("; it has ")[2].partition(";")[0].split(", ")
        assert {"v1", "v3"} == set(shown[:2])
        assert len(shown) <= 5
        assert "gone" not in shown
    for pulling in (["pull", "--id", "bset", "out"], ["verify", "--id", "bset"], ["cat", "bset", "file"]):
        error = one_line(cli(*pulling))
        assert "nor a name in" in error
        assert "; it has best" in error
