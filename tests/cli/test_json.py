"""What --json prints is what docs/json.md says: fields, their order, their types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crc32c  # noqa: F401  # its import reads files; verbs import it in their loop, where `free_loop` counts that
import pytest

from snapdir.cli.commands import COMMANDS
from snapdir.cli.main import root

from .conftest import ID, Run, cli

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
    "absent": lambda _: False,
}


def documented() -> dict[str, tuple[str, dict[str, str]]]:
    """Of each command: one document or lines, and the types of its fields in their order."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for section in sections:
        title, _, text = section.partition("\n")
        fields = dict(re.findall(r"^\| `([^`]+)` \| ([a-z ]+?) \|", text, flags=re.MULTILINE))
        found[title.strip("` ").removeprefix("snapdir ")] = (
            "lines" if "object per line" in text else "document",
            fields,
        )
    return found


DOCUMENTED = documented()


def shape_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a value, with the paths the page gives them; a list speaks by each of its elements."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (f"{path}.{name}" if path else name), inner
            if name not in ("labels", "names", "chosen_by"):
                yield from shape_of(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from shape_of(inner, f"{path}[]")


def check(command: str, run: Run) -> list[dict[str, Any]]:
    """What was printed, compared with the page."""
    kind, fields = DOCUMENTED[command]
    lines = run.stdout.splitlines()
    assert kind == "lines" or len(lines) == 1
    values = [json.loads(line) for line in lines]
    for line, value in zip(lines, values, strict=True):
        assert line == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        top = [name for name, kind in fields.items() if "." not in name and (name in value or "absent" not in kind)]
        assert list(value) == top
        named = list(dict.fromkeys(path for path, _ in shape_of(value)))
        assert named == [name for name in fields if name in named]
        for path, inner in shape_of(value):
            assert any(TYPES[kind](inner) for kind in fields[path].split(" or ")), f"{path} is no {fields[path]}"
    return values


@pytest.fixture
def tree() -> str:
    """A directory with a name that needs care."""
    Path("tree/sub").mkdir(parents=True)
    Path("tree/sub/é\t").write_text("content")
    Path("tree/other").write_text("other")
    return "tree"


@pytest.fixture
def pushed(tree: str) -> str:
    return cli("push", "--store", "./store", tree).stdout.strip()


def object_of(folder: str, size: int) -> Path:
    return next(path for path in Path(folder, ".objects").rglob("*") if path.is_file() and path.stat().st_size == size)


def test_every_command_with_json_is_on_the_page() -> None:
    takes_json = {
        name for name in COMMANDS for option in root.get_command(None, name).params if "--json" in option.opts  # type: ignore[arg-type, union-attr]
    }  # fmt: skip
    assert {title.split()[0] for title in DOCUMENTED} - {"Failures", "Events"} == takes_json


def test_size_and_ls(pushed: str) -> None:
    (one,) = check("size", cli("size", "--json", "./store"))
    assert (one["ref"], one["files"], one["logical_bytes"]) == ("./store", 2, 12)
    (one,) = check("ls", cli("ls", "--json", "./store"))
    assert (one["id"], one["files"]) == (pushed, 2)
    entries = check("ls STORE@ID", cli("ls", "--json", "-R", f"./store@{pushed[:8]}"))
    assert entries == check("manifest", cli("manifest", "--json", "tree"))[1:]


def test_tag(pushed: str) -> None:
    (one,) = check("tag", cli("tag", "--json", "--store", "./store", "v1", pushed))
    assert check("tag", cli("tag", "--json", "--store", "./store")) == [one]
    assert (one["name"], one["id"], one["sequence"], one["previous"]) == ("v1", pushed, 1, None)
    (gone,) = check("tag", cli("tag", "--json", "--store", "./store", "--delete", "v1"))
    assert check("tag --log", cli("tag", "--json", "--store", "./store", "--log", "v1")) == [gone, one]


def test_status(pushed: str) -> None:
    cli("pull", "--store", "./store", "--id", pushed, "--include", "other", "out")
    (found,) = check("status", cli("status", "--json", "out"))
    assert (found["id"], found["partial"], found["clean"]) == (pushed, "--include other", True)


def test_diff(pushed: str, tree: str) -> None:
    Path(tree, "sub", "é\t").rename(Path(tree, "moved"))
    Path(tree, "new").touch()
    (line,) = cli("diff", "--json", "--renames", "./store", tree).stdout.splitlines()
    moved, new = json.loads(line)
    assert [list(one) for one in (moved, new)] == [["status", "path", "from"], ["status", "path"]]
    assert list(moved) == list(DOCUMENTED["diff"][1])
    totals = json.loads(cli("diff", "--json", "--stat", "--renames", "--all", "./store", tree).stdout)
    fields = DOCUMENTED["diff --stat"][1]
    assert list(totals) == [name for name in fields if "." not in name]
    assert [f"added.{name}" for name in totals["added"]] == [name for name in fields if name.startswith("added.")]
    assert list(totals["renamed"]) == list(totals["added"])


def test_id(tree: str) -> None:
    plain = cli("id", tree).stdout.strip()
    assert check("id", cli("id", "--json", stdin=cli("manifest", tree).stdout.encode())) == [
        {"id": plain, "left_out": []}
    ]
    (Path(tree) / "broken").symlink_to("nowhere")
    assert check("id", cli("id", "--json", tree)) == [
        {"id": plain, "left_out": [{"path": "./broken", "reason": "broken link"}]}
    ]


def test_log(pushed: str) -> None:
    Path("tree/other").unlink()
    changed = cli("push", "--store", "./store", "--note", "fewer", "--derived-from", pushed, "tree").stdout.strip()
    last, first = check("log", cli("log", "--json", "./store"))
    assert (last["id"], last["previous_id"], last["removed"], last["note"]) == (changed, pushed, 1, "fewer")
    assert (first["id"], first["previous_id"], first["added"], first["note"]) == (pushed, None, 2, None)


def test_report(pushed: str) -> None:
    Path("tree/other").unlink()
    changed = cli("push", "--store", "./store", "--label", "split=train", "--derived-from", pushed, "tree").stdout
    (found,) = check("report", cli("report", "--json", "./store"))
    newest, _ = found["snapshots"]
    assert (newest["id"], newest["labels"], newest["changes"]["removed"]) == (changed.strip(), {"split": "train"}, 1)
    manifest = Path("store/.manifests", pushed[:3], pushed[3:6], pushed[6:9], pushed[9:])
    manifest.write_text("garbage")
    (found,) = check("report", cli("report", "--json", "./store"))
    assert (found["damaged"][0]["id"], found["snapshots"][1]["changes"]) == (pushed, None)


def test_manifest(tree: str) -> None:
    entries = check("manifest", cli("manifest", "--json", tree))
    written = [f"{'FD'[one['type'] == 'directory']} {one['mode']} {one['checksum']} {one['size']} {one['path']}"
               for one in entries]  # fmt: skip
    assert "\n".join(written) + "\n" == cli("manifest", tree).stdout


def test_verify_of_a_sound_snapshot(pushed: str) -> None:
    run = cli("verify", "--json", "--store", "./store", "--id", pushed[:8])
    (found,) = check("verify", run)
    assert (run.code, run.stderr) == (0, "")
    assert found["store"] == f"file://{Path('store').absolute()}"
    assert {name: found[name] for name in ("ok", "id", "objects", "bytes", "corrupt", "missing")} == {
        "ok": True, "id": pushed, "objects": 2, "bytes": 12, "corrupt": [], "missing": [],
    }  # fmt: skip


def test_verify_of_a_damaged_snapshot(pushed: str) -> None:
    corrupt, missing = object_of("store", 7), object_of("store", 5)
    corrupt.chmod(0o644)
    corrupt.write_text("CONTENT")
    missing.unlink()
    run = cli("verify", "--json", "--store", "./store", "--id", pushed)
    (found,) = check("verify", run)
    assert run.code == 1
    assert not found["ok"]
    assert [one["path"] for one in found["corrupt"]] == ["./sub/é\t"]
    assert [one["path"] for one in found["missing"]] == ["./other"]
    failure = json.loads(run.stderr)
    assert [one["error"] for one in failure["failures"]] == ["STORE_ERROR", "HASH_MISMATCH"]
    assert list(failure) == list(DOCUMENTED["Failures"][1])


def test_verify_cache(tree: str) -> None:
    assert check("verify-cache", cli("verify-cache", "--json"))[0]["ok"]
    cli("stage", tree)
    corrupt, missing = object_of("../cache", 7), object_of("../cache", 5)
    corrupt.chmod(0o644)
    corrupt.write_text("CONTENT")
    missing.unlink()
    run = cli("verify-cache", "--json")
    (found,) = check("verify-cache", run)
    assert (run.code, found["ok"], len(found["corrupt"]), found["purged"]) == (1, False, 1, [])
    assert found["missing"][0]["path"] == "./other"
    assert json.loads(run.stderr)["exit_code"] == 1
    run = cli("verify-cache", "--json", "--purge")
    (purged,) = check("verify-cache", run)
    assert (run.code, purged["ok"], purged["purged"]) == (1, False, found["corrupt"])
    assert purged["missing"] == found["missing"]
    assert [(one["object"], one["path"]) for one in purged["needed"]] == [(found["corrupt"][0], "./sub/é\t")]


def test_verify_cache_that_purged_all_that_was_wrong(tree: str) -> None:
    staged = cli("stage", tree).stdout.strip()
    corrupt = object_of("../cache", 7)
    corrupt.chmod(0o644)
    corrupt.write_text("CONTENT")
    run = cli("verify-cache", "--json", "--purge")
    (found,) = check("verify-cache", run)
    assert (run.code, found["ok"], found["missing"]) == (0, True, [])
    assert found["needed"] == [{"object": found["corrupt"][0], "path": "./sub/é\t", "snapshot": staged}]


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPDIR_SECRET_THING", "canary")
    found = check("defaults", cli("defaults", "--json", "--jobs", "3"))
    assert {"name": "jobs", "value": "3", "source": "flag"} in found
    assert found[-1] == {"name": "SNAPDIR_SECRET_THING", "value": "(hidden)", "source": "other-env"}
    assert found[0]["name"] == "cache-dir"


def test_the_history(tree: str, pushed: str) -> None:
    provenance = ("--derived-from", pushed, "--note", "filtered", "--label", "a=b")
    Path(tree, "new").touch()
    second = cli("push", "--store", "./store", *provenance, tree).stdout.strip()
    assert [one["id"] for one in check("locations", cli("locations", "--json"))] == [second]
    newest, oldest = check("revisions", cli("revisions", "--json", "--store", "./store"))
    assert (newest["derived_from"], newest["note"], newest["labels"]) == ([pushed], "filtered", {"a": "b"})
    assert (oldest["id"], oldest["previous_id"]) == (pushed, None)
    for command, start, end in (("ancestors", second, pushed), ("descendants", pushed, second)):
        steps = check(command, cli(command, "--json", "--id", start[:8]))
        assert {(one["of"], one["id"], one["relation"]) for one in steps} == {
            (start, end, "history"), (start, end, "derived"),
        }  # fmt: skip


def test_push_and_stage(tree: str) -> None:
    Path(tree, "copy").write_text("other")
    (first,) = check("push", cli("push", "--json", "--store", "./store", tree))
    assert first["id"] == cli("id", tree).stdout.strip()
    assert {name: first[name] for name in ("files", "bytes", "sent", "sent_bytes", "reused")} == {
        "files": 3, "bytes": 17, "sent": 2, "sent_bytes": 12, "reused": 0,
    }  # fmt: skip
    (again,) = check("push", cli("push", "--json", "--store", "./store", tree))
    assert (again["sent"], again["reused"], again["warnings"]) == (0, 2, [])
    (staged,) = check("stage", cli("stage", "--json", tree))
    assert (staged["id"], staged["files"], staged["sent"]) == (first["id"], 3, 2)
    (cached,) = check("push", cli("push", "--json", "--store", "./other", "--id", first["id"]))
    assert (cached["files"], cached["bytes"], cached["sent"]) == (3, 17, 2)
    (dry,) = check("push", cli("push", "--json", "--dryrun", "--store", "./third", tree))
    assert (dry["id"], dry["files"], dry["dry_run"]) == (first["id"], 3, True)


def test_a_warning_is_in_the_json_and_on_stderr(tree: str) -> None:
    (Path(tree) / "broken").symlink_to("nowhere")
    run = cli("push", "--json", "--store", "./store", tree)
    (warning,) = check("push", run)[0]["warnings"]
    assert "broken" in warning
    assert run.stderr == f"warning: {warning}\n"


def test_fetch_checkout_and_pull(pushed: str) -> None:
    (fetched,) = check("fetch", cli("fetch", "--json", "--store", "./store", "--id", pushed[:8]))
    assert (fetched["id"], fetched["files"], fetched["bytes"], fetched["reused"]) == (pushed, 2, 12, 0)
    assert check("fetch", cli("fetch", "--json", "--store", "./store", "--id", pushed))[0]["reused"] == 2
    (written,) = check("checkout", cli("checkout", "--json", "--id", pushed, "--include", "other", "part"))
    assert (written["files"], written["bytes"], written["extra"]) == (1, 5, [])
    cli("pull", "--store", "./store", "--id", pushed, "out")
    Path("out/other").write_text("OTHER")
    Path("out/more").touch()
    (pulled,) = check("pull", cli("pull", "--json", "--store", "./store", "--id", pushed, "out"))
    assert (pulled["files"], pulled["replaced"], pulled["extra"], pulled["removed"]) == (2, 1, ["./more"], [])
    mirror = ("pull", "--json", "--store", "./store", "--id", pushed, "--delete", "out")
    (dry,) = check("pull", cli(*mirror, "--dryrun"))
    assert (dry["removed"], dry["dry_run"], Path("out/more").exists()) == (["./more"], True, True)
    (real,) = check("pull", cli(*mirror))
    assert (real["removed"], real["dry_run"], Path("out/more").exists()) == (["./more"], False, False)


def test_sync(pushed: str) -> None:
    (copied,) = check("sync", cli("sync", "--json", "--from", "./store", "--to", "./mirror", "--all"))
    assert (copied["id"], copied["snapshots"], copied["files"], copied["sent"]) == (None, [pushed], 2, 2)
    (there,) = check("sync", cli("sync", "--json", "--from", "./store", "--to", "./mirror", "--id", pushed))
    assert (there["id"], there["snapshots"], there["files"], there["sent"]) == (pushed, [pushed], 2, 0)


def test_bench() -> None:
    (found,) = check("bench", cli("bench", "--json", "--seconds", "1", "./store"))
    assert found["measurements"]


def test_a_failure_is_a_document_on_stderr() -> None:
    run = cli("verify", "--json", "--store", "./nothing\x7fé", "--id", ID)
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr.isascii()
    failure = json.loads(run.stderr)
    assert list(failure) == ["error", "message", "exit_code"]
    assert failure["error"] == "STORE_ERROR"
    assert "nothing\x7fé" in failure["message"]
    assert failure["exit_code"] == 1


def test_json_and_repair_exclude_each_other(tree: str) -> None:
    run = cli("verify", "--json", "--repair-from", tree, "--store", "./store", "--id", ID)
    assert (run.code, run.stdout) == (2, "")
    assert "'--json' cannot be used with '--repair-from <DIR>'" in run.stderr
