"""SURF: help, version, usage errors, completions."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from snapdir import version
from tests.conformance.harness import NO_ID, Shell, case, manifests, objects
from tests.needed import needed

REFERENCE_VERBS = [
    "manifest", "id", "stage", "push", "fetch", "pull", "checkout", "verify", "verify-cache", "flush-cache",
    "locations", "ancestors", "revisions", "defaults", "sync", "diff", "version", "autocomplete", "help",
]  # fmt: skip
HIDDEN_VERBS = ["man", "completions", "objects-needed", "send-pack", "receive-pack"]
SHELLS = ("bash", "elvish", "fish", "powershell", "zsh")
UNIVERSAL = {"--quiet", "--verbose", "--no-progress", "--color", "--help", "--version"}
WALK = "--exclude --walk-jobs"
TRANSFER = "--store --id --cache-dir --jobs --limit-rate --max-retries --dryrun"
FLAGS = {
    "manifest": f"{WALK} --absolute --no-follow --checksum-bin --catalog",
    "id": WALK,
    "stage": f"{WALK} --cache-dir --catalog --dryrun",
    "push": f"{WALK} {TRANSFER} --objects-store --catalog",
    "fetch": f"{TRANSFER} --objects-store",
    "pull": f"{TRANSFER} --objects-store --delete --exclude --linked",
    "checkout": "--id --cache-dir --dryrun --delete --exclude --linked",
    "verify": "--store --id",
    "verify-cache": "--id --purge --cache-dir --dryrun",
    "flush-cache": "--cache-dir --dryrun",
    "locations": "--catalog --location --cache-dir",
    "ancestors": "--catalog --location --id --cache-dir",
    "revisions": "--catalog --location --store --cache-dir",
    "defaults": "--cache-dir --store --catalog --jobs --walk-jobs --limit-rate",
    "sync": "--id --jobs --limit-rate --from --to --from-objects --to-objects --delete --dryrun",
    "diff": "--id --from --to --all --json --exit-code --on-conflict",
    "version": "",
    "autocomplete": "",
}
ARGUMENTS = {
    "manifest": "[PATH]", "id": "[PATH]", "push": "[PATH]", "pull": "[PATH]", "stage": "[DIR]", "checkout": "[DIR]",
    "autocomplete": "<SHELL>",
}  # fmt: skip
VARIABLES = {
    "--store": "SNAPDIR_STORE",
    "--objects-store": "SNAPDIR_OBJECTS_STORE",
    "--catalog": "SNAPDIR_CATALOG",
    "--cache-dir": "SNAPDIR_CACHE_DIR",
    "--jobs": "SNAPDIR_JOBS",
    "--walk-jobs": "SNAPDIR_WALK_JOBS",
    "--limit-rate": "SNAPDIR_LIMIT_RATE",
    "--max-retries": "SNAPDIR_MAX_RETRIES",
}


def listed_flags(help_text: str) -> set[str]:
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", help_text, re.MULTILINE))


@case("SURF-01")
def test_help_lists_every_verb_and_hides_the_plumbing(sh: Shell) -> None:
    shown = sh.ok("--help")
    purpose, _, rest = shown.out.partition("\n\n")
    assert "\n" not in purpose
    assert rest.startswith("Usage: snapdir [OPTIONS] <COMMAND>")
    verbs = re.findall(r"^  ([a-z-]+)  ", rest, re.MULTILINE)
    assert set(REFERENCE_VERBS) <= set(verbs)
    assert len(verbs) == len(set(verbs))
    assert not set(HIDDEN_VERBS) & set(verbs)
    assert listed_flags(rest) >= UNIVERSAL


@case("SURF-02")
@pytest.mark.parametrize("asked", ["--version", "-V", "version"])
def test_the_version_is_one_line(asked: str, sh: Shell) -> None:
    assert sh.ok(asked).out == f"snapdir {version()}\n"


@case("SURF-03")
def test_an_unknown_verb_is_a_usage_error(sh: Shell) -> None:
    message = sh.refused("bogus").err.splitlines()
    assert message[0] == "error: unrecognized subcommand 'bogus'"
    assert message[-4:] == ["", "Usage: snapdir [OPTIONS] <COMMAND>", "", "For more information, try '--help'."]


@case("SURF-04")
def test_an_unknown_flag_is_a_usage_error(sh: Shell) -> None:
    message = sh.refused("--nonsense").err
    assert message.startswith("error: unexpected argument '--nonsense' found\n\n")
    assert "Usage: snapdir" in message
    assert message.endswith("For more information, try '--help'.\n")


@case("SURF-05")
@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_without_a_store_one_line_explains_how_to_name_it(verb: str, sh: Shell) -> None:
    expected = "no store configured: pass --store <uri> or set the SNAPDIR_STORE environment variable\n"
    assert sh.fails(verb).err == expected


@case("SURF-06")
def test_checkout_needs_an_id(sh: Shell) -> None:
    assert sh.fails("checkout").err == "missing --id option\n"


@case("SURF-07")
@pytest.mark.parametrize("verb", FLAGS)
def test_the_help_of_a_verb_shows_its_own_flags_and_their_variables(verb: str, sh: Shell) -> None:
    shown = sh.ok(verb, "--help").out
    flags = listed_flags(shown)
    own = set(FLAGS[verb].split())
    foreign = {flag for others in FLAGS.values() for flag in others.split()} - own
    assert own | UNIVERSAL <= flags
    assert re.search(rf"^Usage: snapdir {verb} .*{re.escape(ARGUMENTS.get(verb, ''))}", shown, re.MULTILINE)
    words = " ".join(shown.split())
    assert all(f"[env: {VARIABLES[flag]}]" in words for flag in own & VARIABLES.keys())
    assert not foreign & flags & {"--walk-jobs", "--absolute", "--checksum-bin", "--from", "--purge"}


@case("SURF-08")
def test_help_omits_flags_that_a_verb_does_not_take(sh: Shell) -> None:
    shown = {verb: sh.ok(verb, "--help").out for verb in ("id", "manifest", "push")}
    assert not listed_flags(shown["id"]) & {"--limit-rate", "--store", "--jobs"}
    assert "--walk-jobs" in shown["id"]
    assert "SNAPDIR_WALK_JOBS" in shown["id"]
    assert "--limit-rate" not in shown["manifest"]
    assert listed_flags(shown["push"]) >= {"--jobs", "--limit-rate"}


@case("SURF-09")
def test_help_of_verify_mentions_stores_and_not_staging(sh: Shell) -> None:
    shown = sh.ok("verify", "--help").out
    assert "staged" not in shown.lower()
    assert all(word in shown for word in ("store", "--store", "--id"))


@case("SURF-10")
@pytest.mark.parametrize("shell", SHELLS)
def test_completions_are_scripts_on_stdout(shell: str, sh: Shell) -> None:
    done = sh.ok("autocomplete", shell)
    assert "snapdir" in done.out
    assert done.err == ""


@case("SURF-11")
@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_completion_scripts_are_valid_in_their_shells(shell: str, check: str, sh: Shell, place: Path) -> None:
    script = place / "completions"
    script.write_bytes(sh.ok("autocomplete", shell).stdout)
    if shell == "bash":
        assert re.search(r"complete |_snapdir", script.read_text())
    checked = subprocess.run([needed(shell), check, script], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


@case("SURF-12")
@pytest.mark.parametrize("shell", SHELLS)
def test_completions_do_not_change_between_runs(shell: str, sh: Shell) -> None:
    assert sh.ok("autocomplete", shell).stdout == sh.ok("autocomplete", shell).stdout


@case("SURF-13")
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completions_is_an_alias_of_autocomplete(shell: str, sh: Shell) -> None:
    assert sh.ok("completions", shell).stdout == sh.ok("autocomplete", shell).stdout


@case("SURF-14")
def test_an_unknown_shell_is_refused_with_a_list_of_known_ones(sh: Shell) -> None:
    message = sh.refused("autocomplete", "tcsh").err
    assert all(shell in message for shell in SHELLS)


@case("SURF-15")
def test_autocomplete_needs_a_shell(sh: Shell) -> None:
    assert "<SHELL>" in sh.refused("autocomplete").err


@case("SURF-16")
def test_the_name_of_a_shell_in_capitals_is_handled_cleanly(sh: Shell) -> None:
    done = sh("autocomplete", "BASH")
    assert "_snapdir" in done.out if done.code == 0 else (done.code == 2 and "bash" in done.err)


@case("SURF-17")
def test_autocomplete_shows_how_to_install_it(sh: Shell) -> None:
    shown = sh.ok("autocomplete", "--help").out
    for shell in ("bash", "zsh"):
        assert re.search(rf"(eval|source).*snapdir autocomplete {shell}", shown)


@case("SURF-18")
def test_man_is_a_manual_page(sh: Shell) -> None:
    assert re.search(r"^\.TH \"?snapdir", sh.ok("man").out, re.MULTILINE | re.IGNORECASE)


@case("SURF-19")
def test_a_bare_path_is_a_file_store_wherever_a_store_is_named(sh: Shell, src: Path, place: Path) -> None:
    store, copy, pool = (place / name for name in ("plain", "copy", "pool"))
    pushed = sh.ok("push", "--store", store, "--objects-store", pool, src).value
    sh.ok("sync", "--id", pushed, "--from", store, "--from-objects", pool, "--to", copy)
    assert manifests(store) == manifests(copy) == {pushed}
    assert len(objects(pool)) == 2


@case("SURF-19")
@pytest.mark.parametrize("site", ["--store", "--objects-store", "--to", "--from"])
def test_text_that_is_neither_a_path_nor_a_url_is_refused_with_an_explanation(
    site: str, sh: Shell, src: Path, store: str
) -> None:
    if site == "--store":
        args = ["push", site, "no store", src]
    elif site == "--objects-store":
        args = ["push", "--store", store, site, "no store", src]
    else:
        args = ["sync", "--id", NO_ID, site, "no store", "--from" if site == "--to" else "--to", store]
    message = sh.fails(*args).err
    assert "invalid store protocol" in message
    assert "file://" in message


@case("SURF-20")
def test_an_unknown_scheme_names_the_program_that_would_handle_it(sh: Shell, src: Path) -> None:
    message = sh.fails("push", "--store", "notaproto://x", src).err
    assert "snapdir-notaproto-store" in message
    assert "invalid store protocol" not in message
    assert "file://" not in message
