"""EXT: stores of other programs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conformance.harness import NO_ID, Shell, case, digest_of, files, manifests, objects

PLUGIN = r"""#!/usr/bin/env bash
# A store that is a directory: mock:///where/it/is. Prints scripts, as every plugin does.
set -euo pipefail
verb=$1; shift
while [ $# -gt 0 ]; do
    case $1 in
        --id) id=$2 ;; --store) store=$2 ;; --cache-dir | --staging-dir) folder=$2 ;;
    esac
    shift 2
done
shard() { echo "${1:0:3}/${1:3:3}/${1:6:3}/${1:9}"; }
copy() { echo "mkdir -p '$(dirname "$2")'; test -e '$2' || cp '$1' '$2';"; }
there=${store#mock://}
manifest=$there/.manifests/$(shard "$id")
case $verb in
    get-manifest-command)
        if [ -e "$manifest" ]; then echo "cat '$manifest';"
        else echo "echo \"ID '$id' not found on --store '$store'.\" >&2; exit 1;"; fi ;;
    get-fetch-files-command)
        while read -r kind _ sum _; do
            [ "$kind" != F ] || copy "$there/.objects/$(shard "$sum")" "$folder/.objects/$(shard "$sum")"
        done ;;
    get-push-command)
        staged=$folder/.manifests/$(shard "$id")
        if [ -e "$manifest" ]; then echo "echo 'Manifest already exists on store.' >&2;"; exit; fi
        while read -r kind _ sum _; do
            [ "$kind" != F ] || copy "$folder/.objects/$(shard "$sum")" "$there/.objects/$(shard "$sum")"
        done <"$staged"
        copy "$staged" "$manifest" ;;
esac
"""


@pytest.fixture
def mock(place: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that a program on the PATH keeps in ``place/mock``."""
    program = place / "bin" / "snapdir-mock-store"
    program.parent.mkdir()
    program.write_text(PLUGIN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return f"mock://{place}/mock"


@case("EXT-01")
def test_push_goes_through_the_program(sh: Shell, src: Path, mock: str, place: Path) -> None:
    pushed = sh.push(src, mock)
    assert pushed == sh.id(src)
    assert manifests(place / "mock") == {pushed}
    assert objects(place / "mock") == {digest_of("hello"), digest_of("world!!")}
    before = {path: (place / "mock" / path).stat().st_mtime_ns for path in files(place / "mock")}
    assert sh.push(src, mock) == pushed
    assert {path: (place / "mock" / path).stat().st_mtime_ns for path in files(place / "mock")} == before


@case("EXT-02")
def test_fetch_fills_the_cache_through_the_program(
    sh: Shell, src: Path, mock: str, cache: Path, place: Path, dest: Path
) -> None:
    pushed = sh.push(src, mock)
    shutil.rmtree(cache)
    sh.ok("fetch", "--store", mock, "--id", pushed)
    assert (objects(cache), manifests(cache)) == (objects(place / "mock"), {pushed})
    sh.ok("checkout", "--id", pushed, dest)
    assert sh.id(dest) == pushed


@case("EXT-03")
def test_an_unknown_id_is_not_found(sh: Shell, mock: str, cache: Path) -> None:
    assert "not found" in sh.fails("fetch", "--store", mock, "--id", NO_ID).err
    assert manifests(cache) == set()
