"""MAN-01 to MAN-15: manifests, ids, walking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.harness import Run, Shell, case, plant
from tests.conformance.trees import FOO, TB

TB_MANIFEST = """\
D 755 8aef26c9096d23a66415a42f070250ccbfb616113a299462c44cdc1a21c37d4b 12 ./
F 644 ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f 5 ./a.txt
F 644 af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 0 ./empty
D 755 86659b1ecbc3c43c105315cb5c9c12f376527cc5dcc14a7bb6a8b99676e88b0e 7 ./sub/
F 644 8bafa24d36bc2aa6edc0d041e763cb59ebadb71b6e63ab4ac9314de95e9a0de7 7 ./sub/b.txt
"""
TB_ID = "e40705a8733449f93f0413549a20797575b2065669e35e5b6cd1084dc81ebeaf"
TB_WITHOUT_SUB = "d118173369a5e37ee4e7b3e5e6ba59e4a75627b394402441c0d2f4fadbc1cf22"
TB_OTHERWISE = {  # checksums of ./, ./a.txt, ./empty, ./sub/, ./sub/b.txt
    "md5sum": (
        "adb70ffcb744b5b31d681ace791b0a32",
        "5d41402abc4b2a76b9719d911017c592",
        "d41d8cd98f00b204e9800998ecf8427e",
        "4d1b45a28d56adfbb6c561229078cca4",
        "644fde6d4d61626af24f1c5431fa7a97",
    ),
    "sha256sum": (
        "61529f2483cf92de7ee91b1ec69a24acfcad2bfc518f9723c66c7d103508711e",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "9f9e42210f9a39f7b1da7918867e4dd300c8e2cbce6765fc05dac9b332ba54a4",
        "42a19f77459c45b0218f7d21a485a8a41e3bcb4e80e6e570033c49e2fb16446a",
    ),
    "keyed": (
        "5ad57fc9f285422e7eaa7b13c07ff25763ce195fd03e1f13f661d06c836dc8d1",
        "a20641105162e1815491cc713459a5d9ecc96aa2f4fffb8076e515f4675be0c1",
        "1deb4c54b3972346bfb3e009eec9e3f010bcce425fcfd92e0243b893f93cf1d8",
        "eeff000bbd1af1c3e4fefe03c4a4ebf8711cb2f7517767453c42913f8eb9670f",
        "8df06c5f5e6dcfcc59412fc9afafd46cbe4fbfbff16793befe474b152a5a993d",
    ),
}
FOO_ID = "ff83fc0387da6480304710b52094f1d137736908661b01cb4e838116dc37d231"
MIXED_ID = "3d890b612c02d71c0c51aeb18a04357702f869da85f7691a709e1b88aea657ba"
NOTHING_ID = "295192ea1ec8566d563b1a7587e5f0198580cdbd043842f5090a4c197c20c67a"
SPELLINGS = ("foo", "./foo", "foo/", "./foo/")


@pytest.fixture
def tb(place: Path) -> Path:
    return plant(place / "basic", TB)


@pytest.fixture
def foo() -> Path:
    """The tree ``foo`` in the current directory."""
    return plant(Path("foo"), FOO)


def checksums(run: Run) -> tuple[str, ...]:
    return tuple(line.split(" ")[2] for line in run.lines)


def mixed_tree(root: Path) -> Path:
    """Small, large, empty and oddly named files; byte i is (31 * i + 7) mod 256."""
    sizes = {f"small_{number:03}.bin": 64 for number in range(20)}
    sizes |= {f"large_{number:02}.bin": 300 << 10 for number in range(3)}
    sizes |= {"empty_a.bin": 0, "empty_b.bin": 0, "uni dir/déjà vu.txt": 128, "🦀 crab.bin": 700 << 10}
    sizes |= {"sub/s small.bin": 10, "sub/s large.bin": 512 << 10}
    period = bytes((31 * i + 7) & 255 for i in range(256))
    return plant(root, {path: (period * (size // 256 + 1))[:size] for path, size in sizes.items()})


@case("MAN-01")
def test_the_manifest_of_the_basic_tree(sh: Shell, tb: Path) -> None:
    assert sh.ok("manifest", tb).out == TB_MANIFEST


@case("MAN-02")
def test_absolute_changes_the_path_column_alone(sh: Shell, tb: Path) -> None:
    assert sh.ok("manifest", "--absolute", tb).out == TB_MANIFEST.replace("./", f"{tb}/")


@case("MAN-03", "MAN-04")
@pytest.mark.parametrize("program", ["md5sum", "sha256sum"])
def test_other_checksums(program: str, sh: Shell, tb: Path) -> None:
    assert checksums(sh.ok("manifest", "--checksum-bin", program, tb)) == TB_OTHERWISE[program]


@case("MAN-05")
def test_excluded_files_do_not_count_in_directories(sh: Shell, tb: Path) -> None:
    lines = TB_MANIFEST.splitlines()
    assert sh.ok("manifest", "--exclude", "sub", tb).lines == [f"D 755 {TB_WITHOUT_SUB} 5 ./", lines[1], lines[2]]


@case("MAN-06")
def test_a_context_keys_every_checksum(sh: Shell, tb: Path) -> None:
    assert checksums(sh.ok("manifest", tb, SNAPDIR_MANIFEST_CONTEXT="sekret")) == TB_OTHERWISE["keyed"]


@case("MAN-07")
def test_the_id_of_the_basic_tree(sh: Shell, tb: Path) -> None:
    assert sh.ok("id", tb).out == f"{TB_ID}\n"


@case("MAN-08")
def test_four_spellings_of_a_path_give_one_manifest(sh: Shell, foo: Path, store: str) -> None:
    for args in (["id"], ["manifest"], ["manifest", "--absolute"], ["push", "--store", store]):
        runs = {sh.program(*args, spelling).stdout for spelling in SPELLINGS}
        assert len(runs) == 1
    shown = sh.program("manifest", "foo").lines
    assert shown[0].endswith(" ./")
    assert all(line.split(" ", 4)[4].startswith("./") for line in shown)
    assert "/./" not in sh.program("manifest", "--absolute", "./foo/").out


@case("MAN-09")
def test_the_id_of_foo(sh: Shell, foo: Path) -> None:
    assert sh.program("id", "foo").value == FOO_ID


@case("MAN-10")
def test_walk_jobs_never_change_an_id(sh: Shell, place: Path) -> None:
    tree = mixed_tree(place / "mixed")
    for jobs in ([], *(["--walk-jobs", number] for number in ("1", "2", "4", "8", "16"))):
        assert sh.ok("id", *jobs, tree).value == MIXED_ID
    assert sh.ok("id", tree, SNAPDIR_WALK_JOBS="3").value == MIXED_ID


@case("MAN-11")
def test_a_piped_manifest_has_the_id_of_its_tree(sh: Shell, src: Path) -> None:
    assert sh.ok("id", stdin=sh.ok("manifest", src).stdout) == sh.ok("id", src)


@case("MAN-12")
def test_empty_input_is_the_empty_manifest(sh: Shell) -> None:
    Path("file").write_text("the current directory is not empty")
    assert sh.ok("id", stdin=b"").value == NOTHING_ID
    assert sh.program("id").value == NOTHING_ID


@case("MAN-13")
def test_the_last_newline_of_a_piped_manifest_does_not_matter(sh: Shell, src: Path) -> None:
    text = sh.ok("manifest", src).stdout
    assert sh.ok("id", stdin=text.rstrip(b"\n")) == sh.ok("id", stdin=text) == sh.ok("id", src)


@case("MAN-14")
def test_comments_of_a_piped_manifest_are_ignored(sh: Shell, src: Path) -> None:
    first, *others = sh.ok("manifest", src).stdout.splitlines(keepends=True)
    commented = b"".join([b"# one\n", first, b"#two\n", *others, b"# three\n"])
    assert sh.ok("id", stdin=commented) == sh.ok("id", src)


@case("MAN-15")
def test_text_that_is_not_a_manifest_has_no_id(sh: Shell) -> None:
    message = sh.fails("id", stdin=b"garbage\n").err
    assert "manifest" in message
    assert "stdin" in message
