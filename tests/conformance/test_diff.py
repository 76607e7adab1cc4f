"""DIF, and DER-25 to DER-28: what changed between stores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conformance.harness import NO_ID, Run, Shell, Tree, case, plant
from tests.conformance.trees import T1, TB

OLD = {"keep.txt": "same", "gone.txt": "gone", "changed.txt": "old"}
NEW = {"keep.txt": "same", "new.txt": "new", "changed.txt": "newer"}
CHANGES = "M\t./changed.txt\nD\t./gone.txt\nA\t./new.txt\n"


class Sides:
    """Stores filled with small trees, to be compared."""

    def __init__(self, sh: Shell, place: Path) -> None:
        self.sh = sh
        self.place = place

    def store(self, name: str, *trees: Tree) -> str:
        """A store that has a snapshot of each of ``trees``."""
        for number, tree in enumerate(trees):
            self.sh.push(plant(self.place / f"{name}-tree{number}", tree), f"file://{self.place}/{name}")
        (self.place / name).mkdir(exist_ok=True)
        return f"file://{self.place}/{name}"

    def diff(self, before: Tree, after: Tree, *flags: str) -> Run:
        return self.sh.ok("diff", "--from", self.store("from", before), "--to", self.store("to", after), *flags)


@pytest.fixture
def sides(sh: Shell, place: Path) -> Sides:
    return Sides(sh, place)


@case("DIF-01")
def test_changes_are_listed_by_path(sides: Sides) -> None:
    assert sides.diff(OLD, NEW).out == CHANGES


@case("DIF-02")
def test_all_also_lists_unchanged_files(sides: Sides) -> None:
    lines = sides.diff(OLD, NEW, "--all").lines
    assert lines == ["M\t./changed.txt", "D\t./gone.txt", "=\t./keep.txt", "A\t./new.txt"]


@case("DIF-03")
def test_diff_does_not_read_objects(sides: Sides) -> None:
    refs = ["--from", sides.store("from", OLD), "--to", sides.store("to", NEW)]
    for side in ("from", "to"):
        shutil.rmtree(sides.place / side / ".objects")
    (sides.place / "to" / ".objects").write_text("junk")
    assert sides.sh.ok("diff", *refs).out == CHANGES


@case("DIF-04")
def test_exit_code_reports_differences_on_request(sides: Sides) -> None:
    refs = ["--from", sides.store("from", OLD), "--to", sides.store("to", NEW)]
    done = sides.sh("diff", "--exit-code", *refs)
    assert (done.code, done.out) == (1, CHANGES)
    assert sides.sh("diff", *refs).code == 0
    assert sides.sh("diff", "--exit-code", "--from", refs[1], "--to", refs[1] + "/").code == 0


@case("DIF-04")
def test_errors_and_differences_have_different_exit_codes(sides: Sides) -> None:
    refs = ["--from", sides.store("from", OLD), "--to", f"file://{sides.place}/missing"]
    assert sides.sh("diff", "--exit-code", *refs).code == 2
    assert sides.sh("diff", *refs).code == 1


@case("DIF-05")
def test_two_empty_stores_are_equal(sides: Sides) -> None:
    refs = ["--from", sides.store("empty"), "--to", sides.store("empty2")]
    for flags in ([], ["--exit-code"]):
        assert sides.sh.ok("diff", *flags, *refs).out == ""


@case("DIF-06")
def test_equal_sides_print_lines_only_with_all(sides: Sides) -> None:
    assert sides.diff(OLD, OLD).out == ""
    assert sides.diff(OLD, OLD, "--all").lines == ["=\t./changed.txt", "=\t./gone.txt", "=\t./keep.txt"]


@case("DIF-07")
@pytest.mark.parametrize("after", [("x", 0o600), "y", ("longer", 0o600)])
def test_a_change_of_mode_or_content_is_one_line(after: str | tuple[str, int], sides: Sides) -> None:
    assert sides.diff({"f": "x"}, {"f": after}).out == "M\t./f\n"


@case("DIF-08")
def test_json_is_one_array(sides: Sides) -> None:
    out = sides.diff(OLD, NEW, "--json").out
    assert json.loads(out) == [
        {"status": "M", "path": "./changed.txt"},
        {"status": "D", "path": "./gone.txt"},
        {"status": "A", "path": "./new.txt"},
    ]
    assert out.startswith('[{"status":"M","path":"./changed.txt"},{')
    assert out.endswith("]\n")


@case("DIF-09")
def test_several_stores_on_one_side_are_combined(sides: Sides) -> None:
    first, second = sides.store("f1", {"a": "1", "both": "same"}), sides.store("f2", {"b": "2", "both": "same"})
    to = sides.store("to", {"a": "1", "b": "2", "both": "same", "c": "3"})
    assert sides.sh.ok("diff", "--from", first, "--from", second, "--to", to).out == "A\t./c\n"


@pytest.fixture
def clash(sides: Sides) -> list[str]:
    """Two stores of one side that disagree about d/clash.txt, and a store for the other side."""
    first, second = sides.store("f1", {"d/clash.txt": "one"}), sides.store("f2", {"d/clash.txt": "two"})
    return ["--from", first, "--from", second, "--to", sides.store("to", {"d/clash.txt": "two"})]


@case("DIF-10")
def test_a_conflict_within_one_side_is_an_error_that_names_the_file(sides: Sides, clash: list[str]) -> None:
    message = sides.sh.fails("diff", *clash).err
    assert "conflict" in message or "collision" in message
    assert "./d/clash.txt" in message
    assert '"./d/"' not in message


@case("DIF-11")
def test_the_last_store_wins_on_request(sides: Sides, clash: list[str]) -> None:
    assert sides.sh.ok("diff", "--on-conflict", "last-wins", *clash).out == ""
    swapped = ["--from", clash[3], "--from", clash[1], *clash[4:]]
    assert sides.sh.ok("diff", "--on-conflict", "last-wins", *swapped).out == "M\t./d/clash.txt\n"


@case("DIF-12")
def test_paths_are_exact_and_in_byte_order(sides: Sides) -> None:
    names = ["Apple.txt", "a file.txt", "café.txt", "naïve dir/é.txt"]
    assert sides.diff({}, dict.fromkeys(names, "x")).lines == [f"A\t./{name}" for name in names]
    shown = sides.diff({}, dict.fromkeys(names, "x"), "--json").out
    assert [row["path"] for row in json.loads(shown)] == [f"./{name}" for name in names]


@case("DIF-13")
def test_with_the_sides_swapped_added_becomes_deleted(sides: Sides) -> None:
    assert sides.diff(NEW, OLD).out == "M\t./changed.txt\nA\t./gone.txt\nD\t./new.txt\n"


@case("DIF-14")
def test_an_id_picks_one_snapshot_of_a_store(sides: Sides) -> None:
    before, after = sides.store("from", {"f.txt": "v1"}, {"f.txt": "v2"}), sides.store("to", {"f.txt": "v2"})
    first, second = (sides.sh.id(sides.place / f"from-tree{number}") for number in (0, 1))
    refs = ["--from", before, "--to", after]
    assert sides.sh.ok("diff", *refs, "--id", first).out == "M\t./f.txt\n"
    assert sides.sh.ok("diff", *refs, "--id", second).out == ""


@case("DIF-15")
@pytest.mark.parametrize("flags", [[], ["--all"], ["--json"], ["--json", "--all"]])
def test_directories_are_never_listed(flags: list[str], sides: Sides) -> None:
    before = {"kept/a": "1", "gone/b": "2", "empty/": "", "keep/c": "3"}
    after = {"kept/a": "2", "new/b": "3", "keep/c": "3"}
    (sides.place / "to-tree0" / "keep").mkdir(parents=True)
    out = sides.diff(before, after, *flags).out
    paths = [row["path"] for row in json.loads(out)] if "--json" in flags else [line[2:] for line in out.splitlines()]
    assert paths == sorted({"./kept/a", "./gone/b", "./new/b"} | ({"./keep/c"} if "--all" in flags else set()))


@case("DIF-15")
def test_a_directory_with_another_mode_is_not_listed(sides: Sides) -> None:
    before = sides.store("from", {"d/f": "x"})
    (sides.place / "from-tree0" / "d").chmod(0o700)
    after = f"file://{sides.place}/to"
    sides.sh.push(sides.place / "from-tree0", after)
    assert sides.sh.ok("diff", "--from", before, "--to", after).out == ""


@case("DIF-16")
def test_a_file_that_became_a_directory(sides: Sides) -> None:
    assert sides.diff({"x": "file"}, {"x/y": "inside"}).out == "D\t./x\nA\t./x/y\n"


@case("DIF-17")
def test_a_missing_store_is_an_error(sides: Sides) -> None:
    missing = f"{sides.place}/missing"
    assert missing in sides.sh.fails("diff", "--from", sides.store("from", T1), "--to", f"file://{missing}").err


@case("DIF-18")
def test_against_an_empty_store_every_file_is_deleted(sides: Sides) -> None:
    refs = ["--from", sides.store("from", T1), "--to", sides.store("empty")]
    assert sides.sh.ok("diff", *refs).out == "D\t./a.txt\nD\t./sub/b.txt\n"


@case("DER-25")
def test_a_diff_of_nothing_is_nothing(sh: Shell) -> None:
    assert sh.ok("diff").out == ""
    assert sh.ok("diff", "--json").out == "[]\n"


@case("DER-26")
def test_json_without_differences_is_an_empty_array(sh: Shell, pushed: str, store: str) -> None:
    assert sh.ok("diff", "--json", "--from", store, "--to", store).out == "[]\n"


@case("DER-27")
def test_an_unknown_id_is_an_error(sh: Shell, pushed: str, store: str, place: Path) -> None:
    other = f"file://{place}/other"
    sh.push(plant(place / "tb", TB), other)
    assert NO_ID in sh.fails("diff", "--id", NO_ID, "--from", store, "--to", other).err


@case("DER-28")
@pytest.mark.parametrize("url", ["ssh://host/a", "sftp://host/a", "mock://a"])
def test_diff_refuses_store_programs(url: str, sh: Shell, pushed: str, store: str) -> None:
    message = sh.fails("diff", "--from", url, "--to", store).err
    assert "requires in-process stores (file/s3/b2/gcs)" in message
    assert message.endswith(f"{url}\n")
