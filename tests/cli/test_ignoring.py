"""--ignore, --ignore-from and --dereference, in every command that reads a directory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import snapdir
from snapdir import blocking

from .conftest import Run, cli
from .test_diff import plant, push

FILES = {
    "keep": "keep", "a.tmp": "1", "sub/b.tmp": "2", "sub/keep.tmp": "3", "build/deep/out": "4", "sub/build/x": "5",
}  # fmt: skip
KEPT = {"keep": "keep", "sub/keep.tmp": "3", "sub/build/x": "5"}
RULES = ("--ignore", "*.tmp", "--ignore", "/build/", "--ignore", "!keep.tmp")


@pytest.fixture
def tree(isolated: Path) -> Path:
    return plant(isolated / "tree", FILES)


@pytest.fixture
def store(isolated: Path) -> str:
    return f"file://{isolated}/store"


@pytest.fixture
def kept(isolated: Path) -> str:
    """The id of the tree without what is ignored."""
    return ok("id", str(plant(isolated / "kept", KEPT))).stdout.strip()


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def test_every_verb_that_names_a_snapshot_ignores(tree: Path, store: str, kept: str) -> None:
    for line in (["id"], ["stage"], ["push", "--store", store], ["push", "--dryrun", "--store", store]):
        run = ok(*line, *RULES, str(tree))
        assert run.stdout.strip() == kept
        assert run.stderr.startswith("ignored 3 entries\n")
        assert "warning" not in run.stderr
    listed = ok("manifest", *RULES, str(tree)).stdout
    assert cli("id", stdin=listed.encode()).stdout.strip() == kept


def test_rules_come_from_files_and_those_of_the_command_line_decide(tree: Path, kept: str, isolated: Path) -> None:
    rules = isolated / "rules"
    rules.write_text("# of the project\n*.tmp\n\n/build/  \r\n!keep.tmp\n")
    assert ok("id", "--ignore-from", str(rules), str(tree)).stdout.strip() == kept
    assert ok("id", "--ignore-from", str(rules), "--ignore", "keep.tmp", str(tree)).stdout.strip() != kept
    rules.write_text("keep.tmp\n")
    assert ok("id", *RULES, "--ignore-from", str(rules), str(tree)).stdout.strip() == kept


def test_what_is_ignored_is_listed_with_the_reason(tree: Path) -> None:
    found = json.loads(ok("id", "--json", *RULES, str(tree)).stdout)["left_out"]
    assert sorted(one["path"] for one in found) == ["./a.tmp", "./build", "./sub/b.tmp"]
    assert {one["reason"] for one in found} == {"ignored"}
    assert ok("id", "--quiet", *RULES, str(tree)).stderr == ""
    assert json.loads(ok("push", "--json", "--store", "./store", *RULES, str(tree)).stdout)["ignored"] == 3


def test_an_ignored_directory_is_not_read(tree: Path, kept: str) -> None:
    (tree / "build" / "deep" / "new\nline").touch()  # an error if the walk came there
    (tree / "build" / "loop").symlink_to("loop")
    os.mkfifo(tree / "pipe.tmp")
    assert ok("id", *RULES, str(tree)).stdout.strip() == kept
    assert "newline" in cli("id", str(tree)).stderr


def test_python_takes_the_same_names(tree: Path, store: str, kept: str, isolated: Path) -> None:
    (isolated / "rules").write_text("*.tmp\n!keep.tmp\n")
    given = {"ignore": ["/build/"], "ignore_from": [isolated / "rules"]}
    counters = snapdir.Counters()
    assert blocking.push(tree, store, **given, counters=counters) == kept
    assert (counters.ignored, counters.warnings) == (3, [])
    assert blocking.id(tree, **given) == blocking.stage(tree, **given) == kept
    assert blocking.id_from_manifest(blocking.manifest(tree, **given)) == kept
    for wrong in ({"ignore": "*.tmp"}, {"ignore_from": isolated / "rules"}):
        with pytest.raises(TypeError, match=r"is a sequence of str.*, not one "):
            blocking.id(tree, **wrong)


def test_a_diff_compares_nothing_that_is_ignored(tree: Path, isolated: Path) -> None:
    whole = push(isolated / "store", FILES)
    ref = f"{isolated}/store@{whole}"
    (tree / "a.tmp").write_text("changed")
    (tree / "build" / "more").touch()
    (tree / "keep").write_text("changed")
    assert ok("diff", *RULES, ref, str(tree)).stdout == "M\t./keep\n"
    assert ok("diff", *RULES, str(tree), ref).stdout == "M\t./keep\n"
    assert [entry.path for entry in blocking.diff(ref, tree, ignore=["*.tmp", "build/", "keep"])] == []


def test_a_status_of_a_checkout_compares_nothing_that_is_ignored(store: str, isolated: Path) -> None:
    whole = push(isolated / "store", FILES)
    out = isolated / "out"
    ok("pull", "--store", store, "--id", whole, str(out))
    (out / "a.tmp").write_text("changed")
    (out / "sub" / "b.tmp").unlink()
    (out / "new.tmp").touch()
    (out / "build" / "deep" / "new").touch()
    assert cli("status", str(out)).code == 1
    assert ok("status", *RULES, str(out)).stdout == ""
    assert cli("status", "--ignore", "*.tmp", str(out)).stdout == "state\tpath\nextra\t./build/deep/new\n"
    assert blocking.status(out, ignore=["*.tmp", "build"]).clean


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ignore", "[a"], "invalid glob '[a': a [ is not closed by ]; write \\[ for the character itself"),
        (["--ignore", "a//b"], "invalid glob 'a//b'"),
        (["--ignore", ""], "invalid glob ''"),
        (["--ignore", "x" * 5000], "longer than 4096 characters"),
        (["--ignore-from", "rules"], "rules, line 2: invalid glob 'a\x00b': no name has a NUL"),
        (["--ignore-from", "nowhere"], "I/O error: nowhere: No such file or directory"),
        (["--ignore-from", "."], "I/O error: .: Is a directory"),
        (["--ignore-from", "many"], "many: more than 10,000 rules to ignore have wildcards"),
        (["--ignore", "*"], "which has files: --ignore leaves all of it out"),
        (["--dereference", "--no-follow"], "--dereference cannot be used with --no-follow"),
        (["--dereference", "--exclude", "%system%"], "--dereference cannot be used with --no-follow"),
    ],
)
@pytest.mark.parametrize("verb", ["id", "push"])
def test_bad_input_is_one_line(verb: str, options: list[str], said: str, tree: Path, store: str) -> None:
    Path("rules").write_bytes(b"fine\na\0b\n")
    Path("many").write_text("".join(f"*.{number}\n" for number in range(1_000_000)))
    run = cli(verb, *(["--store", store] if verb == "push" else []), *options, str(tree))
    assert (run.stdout, run.stderr.count("\n")) == ("", 1), run
    assert run.code in (1, 2)
    assert said.replace("\0", "\\x00") in run.stderr
    assert not Path(store.removeprefix("file://")).exists()


@pytest.fixture
def hub(isolated: Path) -> Path:
    """A cache of the Hub: links into a directory of blobs."""
    root = plant(isolated / "hub", {"blobs/0123": "weights", "blobs/4567": "tokens"})
    (root / "blobs" / "0123").chmod(0o640)
    (root / "snapshots" / "main" / "sub").mkdir(parents=True)
    (root / "snapshots" / "main" / "model.bin").symlink_to("../../blobs/0123")
    (root / "snapshots" / "main" / "sub" / "tokens").symlink_to("../../../blobs/4567")
    (root / "snapshots" / "main" / "folder").symlink_to("../../blobs")
    return root / "snapshots" / "main"


def test_a_pulled_copy_of_links_has_the_id_that_was_pushed(hub: Path, store: str, isolated: Path) -> None:
    plain = ok("push", "--store", store, str(hub))
    assert "--dereference lists what they lead to" in plain.stderr
    pushed = ok("push", "--store", store, "--dereference", str(hub))
    assert (pushed.stdout == plain.stdout, pushed.stderr) == (False, "")
    out = isolated / "out"
    ok("pull", "--store", store, "--id", pushed.stdout.strip(), str(out))
    assert ok("id", str(out)).stdout == ok("id", "--dereference", str(hub)).stdout == pushed.stdout
    assert (out / "model.bin").stat().st_mode & 0o777 == 0o640
    assert ok("stage", "--dereference", str(hub)).stdout == pushed.stdout
    assert ok("status", "--dereference", "--id", pushed.stdout.strip(), "--store", store, str(hub)).stdout == ""
    assert ok("diff", "--dereference", f"{store}@{pushed.stdout.strip()}", str(hub)).stdout == ""
    assert blocking.push(hub, store, dereference=True) == pushed.stdout.strip()


def test_a_root_that_is_a_link_is_listed_as_what_it_leads_to(hub: Path, isolated: Path) -> None:
    (isolated / "current").rmdir()
    (isolated / "current").symlink_to(hub)
    by_link, direct = (ok("id", "--dereference", str(path)).stdout for path in (isolated / "current", hub))
    assert by_link == direct
    assert ok("manifest", "--dereference", str(isolated / "current")).stdout.splitlines()[0].startswith("D 755 ")


def test_a_glob_given_as_an_expression_gets_what_to_write(tree: Path, store: str) -> None:
    failed = cli("push", "--store", store, "--exclude", "*.tmp", str(tree))
    assert (failed.code, failed.stderr.count("\n")) == (1, 1)
    assert r"write '\.tmp$', or use --ignore '*.tmp'" in failed.stderr
    warned = ok("push", "--store", store, "--exclude", "sub/*.tmp", str(tree))
    assert "warning: --exclude takes a regular expression, and 'sub/*.tmp' looks like a glob" in warned.stderr
