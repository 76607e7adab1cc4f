"""Store programs: snapdir-NAME-store on PATH, correct and broken ones."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from .conftest import ID, cli, command_line, program

# The protocol over a directory: the store's URL is mock:// and its path. It notes each call beside itself.
HONEST = r"""#!/usr/bin/env bash
set -euo pipefail
call="$1"; shift
id= store= staging= cache=
while (($#)); do
    case "$1" in
        --id) id="$2" ;; --store) store="$2" ;; --staging-dir) staging="$2" ;; --cache-dir) cache="$2" ;;
    esac
    shift 2
done
echo "$call" >> "$0.calls"
root="${store#mock://}"
key() { echo "${1:0:3}/${1:3:3}/${1:6:3}/${1:9}"; }
manifest="$root/.manifests/$(key "$id")"
case "$call" in
get-manifest-command)
    echo "if [[ -e '$manifest' ]]; then cat '$manifest'; else"
    echo "  echo \"ID '$id' not found on --store '$store'.\" >&2; exit 1; fi" ;;
get-fetch-files-command)
    while read -r kind _ sum _; do
        [[ "$kind" == F ]] || continue
        target="$cache/.objects/$(key "$sum")"
        echo "echo $sum >> '$0.fetched'; mkdir -p '${target%/*}'; cp '$root/.objects/$(key "$sum")' '$target' &"
    done ;;
get-push-command)
    echo "if [[ -e '$manifest' ]]; then echo 'Manifest already exists on store.' >&2; else mkdir -p '$root'"
    echo "  cp -r '$staging/.objects' '$root/'; mkdir -p '${manifest%/*}'"
    echo "  cp '$staging/.manifests/$(key "$id")' '$manifest'; echo pushed >> '$0.calls'; fi" ;;
esac
"""


@pytest.fixture
def bin_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def install(folder: Path, name: str, script: str) -> Path:
    file = folder / f"snapdir-{name}-store"
    file.write_text(textwrap.dedent(script).lstrip())
    file.chmod(0o755)
    return file


@pytest.fixture
def mock(bin_dir: Path, tmp_path: Path) -> str:
    """The URL of an honest store."""
    install(bin_dir, "mock", HONEST)
    return f"mock://{tmp_path}/outside"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("hello")
    (tree / "sub/b.txt").write_text("world!!")
    (tree / "sub/ERROR: x").write_text("a name that looks like a failure")
    (tree / "sub/empty").touch()
    return tree


def calls(bin_dir: Path) -> list[str]:
    return (bin_dir / "snapdir-mock-store.calls").read_text().split()


def kept(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_push_lands_in_the_programs_store(  # EXT-01
    mock: str, tree: Path, tmp_path: Path, bin_dir: Path
) -> None:
    pushed = cli("push", "--store", mock, str(tree))
    assert (pushed.code, pushed.stderr) == (0, "")
    cli("push", "--store", "./plain", "--no-shared-catalog", str(tree))
    assert kept(tmp_path / "outside") == kept(Path("plain"))
    assert cli("push", "--store", mock, str(tree)).stdout == pushed.stdout
    assert calls(bin_dir) == ["get-push-command", "pushed", "get-push-command"]


def test_a_fetch_fills_the_cache_and_a_checkout_gives_the_tree_again(  # EXT-02
    mock: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "fresh"))
    fetched = cli("fetch", "--store", mock, "--id", identifier, "--verbose")
    assert (fetched.code, fetched.stdout) == (0, "")
    assert f"SAVED: {identifier}" in fetched.stderr
    assert kept(tmp_path / "fresh") == kept(tmp_path / "outside")
    assert cli("checkout", "--id", identifier, "copy").code == 0
    assert cli("id", "copy").stdout.strip() == identifier
    assert f"CACHED: {identifier}" in cli("fetch", "--store", mock, "--id", identifier, "--verbose").stderr


def damaged(cache: Path) -> Path:
    """One object of the cache, with other bytes of the same length."""
    (found,) = (path for path in (cache / ".objects").rglob("*") if path.is_file() and path.stat().st_size == 5)
    found.chmod(0o644)
    found.write_bytes(b"HELLO")
    return found


def test_a_damaged_cache_is_not_pushed(mock: str, tree: Path, tmp_path: Path) -> None:
    identifier = cli("stage", str(tree)).stdout.strip()
    wrong = damaged(tmp_path / "cache")
    run = cli("push", "--store", mock, "--id", identifier)
    assert (run.code, str(wrong) in run.stderr, "verify-cache --purge" in run.stderr) == (1, True, True)
    assert not (tmp_path / "outside").exists()
    run = cli("push", "--store", mock, str(tree))  # the tree has the right bytes
    assert (run.code, "1 damaged object(s)" in run.stderr) == (0, True)
    assert (tmp_path / "outside" / wrong.relative_to(tmp_path / "cache")).read_bytes() == b"hello"


def test_a_pull_mends_the_cache_from_a_program(mock: str, tree: Path, tmp_path: Path) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    wrong = damaged(tmp_path / "cache")
    run = cli("pull", "--store", mock, "--id", identifier, "out")
    assert (run.code, "1 damaged object(s)" in run.stderr) == (0, True)
    assert Path("out/a.txt").read_text() == "hello"
    assert wrong.read_bytes() == b"hello"


def test_a_straight_pull_asks_a_program_for_what_the_cache_lacks(
    mock: str, tree: Path, tmp_path: Path, bin_dir: Path
) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    whole = cli("pull", "--store", mock, "--id", identifier, "out")
    assert (whole.code, "get-fetch-files-command" in calls(bin_dir)) == (0, False)
    damaged(tmp_path / "cache").unlink()
    planned = cli("pull", "--dry-run", "--store", mock, "--id", identifier, "again")
    assert "4 to write; 1 object, 5 B to fetch" in planned.stderr
    assert cli("pull", "--store", mock, "--id", identifier, "again").code == 0
    assert len((bin_dir / "snapdir-mock-store.fetched").read_text().split()) == 1
    assert cli("id", "again").stdout.strip() == identifier


def test_a_dry_push_to_a_program_counts_all_content(mock: str, tree: Path, tmp_path: Path) -> None:
    run = cli("push", "--dry-run", "--store", mock, str(tree))
    assert run.stderr.startswith("dry-run: 4 files, 44 B; 4 objects, 44 B to send\n")
    staged = cli("stage", str(tree)).stdout.strip()
    assert (
        cli("push", "--dry-run", "--store", mock, "--id", staged).stderr.splitlines()[0] == run.stderr.splitlines()[0]
    )
    assert not (tmp_path / "outside").exists()


def test_only_what_the_cache_lacks_is_asked_for(mock: str, tree: Path, tmp_path: Path, bin_dir: Path) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    lost = next(
        path for path in (tmp_path / "cache/.objects").rglob("*") if path.is_file() and path.stat().st_size == 5
    )
    lost.unlink()
    assert cli("fetch", "--store", mock, "--id", identifier).code == 0
    assert lost.read_text() == "hello"
    assert len((bin_dir / "snapdir-mock-store.fetched").read_text().split()) == 1


@pytest.mark.parametrize("flags", [[], ["--no-cache"]])
def test_a_partial_pull_asks_for_its_part(
    flags: list[str], mock: str, tree: Path, bin_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "fresh"))
    assert cli("pull", "--store", mock, "--id", identifier, "--include", "/a.txt", *flags, "copy").code == 0
    assert kept(Path("copy")) == {"a.txt"}
    assert len((bin_dir / "snapdir-mock-store.fetched").read_text().split()) == 1


@pytest.mark.parametrize("flags", [["--cache"], []])
def test_a_pull_gives_the_tree(
    flags: list[str], mock: str, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "fresh"))
    assert cli("pull", "--store", mock, "--id", identifier, *flags, "copy").code == 0
    assert cli("id", "copy").stdout.strip() == identifier
    assert (tmp_path / "fresh/.objects").exists() >= bool(flags)
    assert list((tmp_path / "fresh/.partial").iterdir()) == []


def test_a_cached_snapshot_is_pushed_and_verified(mock: str, tree: Path, tmp_path: Path) -> None:
    identifier = cli("stage", str(tree)).stdout.strip()
    assert cli("push", "--store", mock, "--id", identifier).stdout.strip() == identifier
    assert cli("verify", "--store", mock, "--id", identifier).code == 0
    damaged = next(path for path in (tmp_path / "outside/.objects").rglob("*") if path.is_file())
    damaged.chmod(0o644)
    damaged.write_text("something else")
    assert cli("verify", "--store", mock, "--id", identifier).code == 1


def test_an_unknown_id_is_not_found(mock: str, tmp_path: Path) -> None:  # EXT-03
    run = cli("fetch", "--store", mock, "--id", ID)
    assert (run.code, run.stdout) == (1, "")
    assert f"not found: {ID} in {mock}" in run.stderr
    assert kept(tmp_path / "cache") == set()


def test_dry_runs_write_nothing(mock: str, tree: Path, tmp_path: Path) -> None:
    identifier = cli("push", "--store", mock, "--dryrun", str(tree)).stdout.strip()
    assert identifier == cli("id", "--index-size", "0", str(tree)).stdout.strip()
    assert cli("fetch", "--store", mock, "--dryrun", "--id", identifier).code == 1
    assert kept(tmp_path / "cache") | kept(tmp_path / "outside") == set()


@pytest.mark.parametrize("verb", [["push", "TREE"], ["push", "--dryrun", "TREE"], ["fetch", "--id", ID]])
def test_a_missing_program_is_named(verb: list[str], tree: Path) -> None:  # SURF-20
    run = cli(*(word.replace("TREE", str(tree)) for word in verb), "--store", "notaproto://x")
    assert (run.code, run.stdout) == (1, "")
    assert "failed to spawn store binary 'snapdir-notaproto-store'" in run.stderr
    assert "file://" not in run.stderr
    assert "invalid store protocol" not in run.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["sync", "--from", "STORE", "--to", "./b", "--id", ID],
        ["push", "--store", "STORE", "--objects-store", "./pool", "TREE"],
        ["push", "--store", "./s", "--objects-store", "STORE", "TREE"],
        ["fetch", "--store", "STORE", "--objects-store", "./pool", "--id", ID],
    ],
)
def test_what_needs_single_objects_refuses_a_program(args: list[str], mock: str, tree: Path) -> None:  # OBJ-07, SYN-16
    run = cli(*(word.replace("STORE", mock).replace("TREE", str(tree)) for word in args))
    assert (run.code, run.stdout) == (1, "")
    assert f"external `snapdir-*-store` URLs are not supported: {mock}" in run.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "get-push-command for {id} ended with exit code 3: broken"),
        ("#!/bin/sh\necho 'echo nearly; echo broken >&2; exit 7'\n", "exit code 7: broken"),
        (
            "#!/bin/sh\necho 'echo ok; echo \"ERROR: no room\" >&2; echo done >&2'\n",
            "reported a failure: ERROR: no room",
        ),
        ("#!/bin/sh\necho 'echo \"ERROR: no room\"'\n", "reported a failure: ERROR: no room"),
        ("#!/bin/sh\necho 'false; true'\n", "exit code 1: no message"),
        ("#!/bin/sh\necho 'printf \"a\\033[31mb\" >&2; exit 1'\n", "a\\x1b[31mb"),
    ],
)
def test_a_failing_program_fails_the_push(script: str, said: str, bin_dir: Path, tree: Path) -> None:
    install(bin_dir, "bad", script)
    run = cli("push", "--store", "bad://x", str(tree))
    assert (run.code, run.stdout) == (1, "")
    assert said.format(id=cli("id", str(tree)).stdout.strip()) in run.stderr
    assert len(run.stderr.splitlines()) == 1


LIAR = """
    #!/usr/bin/env bash
    # Gives the true manifest, and other things than the objects.
    if [[ "$1" == get-manifest-command ]]; then exec snapdir-mock-store "${@/liar:/mock:}"; fi
    while (($#)); do if [[ "$1" == --cache-dir ]]; then cache="$2"; fi; shift; done
    while read -r kind _ sum _; do
        [[ "$kind" == F ]] || continue
        target="$cache/.objects/${sum:0:3}/${sum:3:3}/${sum:6:3}/${sum:9}"
        echo "mkdir -p '${target%/*}'; LIE"
    done
"""


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("printf lies > '$target'", "hash mismatch"),
        ("mkfifo '$target'", "did not provide it"),
        ("mkdir '$target'", "did not provide it"),
        ("ln -s /etc/passwd '$target'", "did not provide it"),
        ("true", "did not provide it"),
    ],
)
def test_a_lying_program_puts_nothing_into_the_cache(
    lie: str, said: str, mock: str, tree: Path, bin_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = cli("push", "--store", mock, str(tree)).stdout.strip()
    install(
        bin_dir,
        "liar",
        LIAR.replace("LIE", lie).replace('snapdir-mock-store "$@"', '"${0/liar/mock}" "${@/liar:/mock:}"'),
    )
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "fresh"))
    run = cli("fetch", "--store", mock.replace("mock", "liar", 1), "--id", identifier)
    assert (run.code, run.stdout) == (1, "")
    assert said in run.stderr
    assert kept(tmp_path / "fresh") <= {f".objects/{EMPTY}"}


EMPTY = "af1/349/b9f/5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_manifest_of_another_snapshot_is_refused(mock: str, tree: Path, bin_dir: Path, tmp_path: Path) -> None:
    install(bin_dir, "other", "#!/bin/sh\necho \"echo 'D 755 " + ID + " 0 ./'\"\n")
    run = cli("fetch", "--store", "other://x", "--id", ID)
    assert (run.code, run.stdout) == (1, "")
    assert "hash mismatch: integrity check failed for the manifest that snapdir-other-store gave" in run.stderr


def test_a_long_script_runs_as_well(bin_dir: Path, tree: Path, tmp_path: Path) -> None:
    install(bin_dir, "long", "#!/bin/sh\nseq -f ': %06.0f' 1 30000\necho \"touch '" + str(tmp_path) + "/reached'\"\n")
    run = cli("push", "--store", "long://x", str(tree))
    assert (run.code, run.stderr) == (0, "")
    assert (tmp_path / "reached").exists()


def test_much_output_is_no_harm(bin_dir: Path, tree: Path) -> None:
    install(bin_dir, "loud", "#!/bin/sh\necho 'head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2'\n")
    assert cli("push", "--store", "loud://x", str(tree)).code == 0


def test_ctrl_c_ends_the_program_and_all_it_started(bin_dir: Path, tree: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    install(
        bin_dir, "slow", f"#!/bin/sh\necho 'trap \"\" TERM; (trap - TERM; exec sleep 600) & echo $! > {told}; wait'\n"
    )
    process = subprocess.Popen(
        command_line("push", "--store", "slow://x", str(tree)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    sleeper = os.pidfd_open(int(told.read_text()))  # waits until the script has written it
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    process.communicate()
    ended, _, _ = select.select([sleeper], [], [], 60)
    os.close(sleeper)
    assert ended


def test_what_runs_on_behind_a_script_is_ended(bin_dir: Path, tree: Path) -> None:
    install(bin_dir, "rude", "#!/bin/sh\necho 'sleep 600 & disown'\n")
    assert program("push", "--store", "rude://x", str(tree)).code == 0
