"""Wrong types of arguments: one TypeError that names the argument, from every public function, before any work."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import snapdir
from snapdir import blocking
from snapdir.config import Config
from snapdir.model.arguments import CHECKS

OPTIONAL = " | None"

WRONG: dict[str, tuple[object, ...]] = {
    "str": (7, b"bytes", Path("p"), ["a"]),
    "int": ("7", 1.5),
    "float": ("7", [7]),
    "bool": ("no", b"no"),
    "PathLike": (7, b"bytes", ["a"]),
    "Sequence[str]": ("x", b"x", Path("p"), 7, {"a": "b"}, [7], ["a", None]),
    "Sequence[PathLike]": ("x", Path("p"), 7, [7]),
    "Mapping[str, str]": ("a=b", ["a=b"], [("a", "b")], 7, {"step": 100}, {1: "a"}),
    "Manifest": ("x", 7),
    "Config": ({"jobs": 8}, "default", Config),
    "Counters": ({}, 7),
}
VERBS = [name for name in snapdir.__all__ if inspect.iscoroutinefunction(getattr(snapdir, name))]


def arguments() -> Iterator[tuple[str, str, str]]:
    for verb in VERBS:
        for name, parameter in inspect.signature(getattr(snapdir, verb)).parameters.items():
            if parameter.annotation.removesuffix(OPTIONAL) in CHECKS:
                yield verb, name, parameter.annotation


def valid(verb: Callable[..., Any]) -> dict[str, object]:
    """The required arguments that can be named; nothing of the kind exists."""
    required = [each for each in inspect.signature(verb).parameters.values() if each.default is each.empty]
    named = [each for each in required if each.kind is not each.VAR_POSITIONAL]
    return {each.name: True if each.annotation == "bool" else "none" for each in named}


@pytest.mark.parametrize(("verb", "name", "annotation"), list(arguments()))
async def test_a_wrong_type_is_one_error_that_names_the_argument(
    verb: str, name: str, annotation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(tmp_path / "cache"))
    function = getattr(snapdir, verb)
    takes_none = annotation.endswith(OPTIONAL) or name == "store"
    for wrong in (*WRONG[annotation.removesuffix(OPTIONAL)], *([] if takes_none or annotation == "bool" else [None])):
        is_surplus = inspect.signature(function).parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        call = partial(function, "none", wrong) if is_surplus else partial(function, **{**valid(function), name: wrong})
        with pytest.raises(TypeError, match=f"^{name} is ") as failed:
            await call()
        assert "\n" not in str(failed.value)
    assert os.listdir(tmp_path) == []


def test_every_verb_that_leads_to_io_is_checked() -> None:
    verbs = {verb for verb, _, _ in arguments()}
    assert set(VERBS) - verbs <= {"with_progress_bar"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"labels": "a=b"}, "labels is a mapping of str to str, such as {'split': 'train'}, not str"),
        ({"labels": {"step": 100}}, "labels is a mapping of str to str: 100 is int"),
        ({"exclude": "x"}, "exclude is a sequence of str, not one str"),
        ({"ignore": ["*.tmp", 7]}, "ignore is a sequence of str: 7 is int"),
        ({"derived_from": "ab" * 32}, "derived_from is a sequence of str, not one str"),
        ({"note": 7}, "note is a str, not int"),
        ({"config": {"jobs": 8}}, "config is a Config, not dict"),
    ],
)
def test_what_is_said(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError) as failed:
        blocking.push("tree", "./store", **arguments)
    assert str(failed.value) == sentence


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (partial(snapdir.DiffOptions.from_refs, "./a", ["./b"]), "from_ is a sequence of refs, not one str"),
        (partial(Config().with_options, jobs="8"), "jobs is an int, not str"),
        (partial(Config().with_options, memory=[1]), "memory is int | str, not list"),
        (partial(Config().with_options, cache_dir=7), "cache_dir is str | os.PathLike[str], not int"),
        (partial(Config().with_options, stall_timeout="5"), "stall_timeout is a number, not str"),
        (partial(Config, catalog="default"), "catalog is a Path, not str"),
        (partial(snapdir.manifest_size, "x"), "m is a Manifest, not str"),
        (partial(snapdir.id_from_manifest, "x"), "m is a Manifest, not str"),
        (partial(blocking.log, "./store", since=7), "since is str | datetime, not int"),
        (partial(blocking.diff, 7, "tree"), "opts is DiffOptions | PathLike, not int"),
        (partial(blocking.pull, "v1", "./store", "out", delete="no"), "delete is a bool, not str"),
    ],
)
def test_other_values_and_unions_are_checked_too(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}"):
        call()


async def test_an_iterator_is_a_sequence(tmp_path: Path) -> None:
    for name in ("a.bin", "b.tmp"):
        (tmp_path / name).touch()
    listed = await snapdir.manifest(tmp_path, ignore=(rule for rule in ["*.tmp"]))  # type: ignore[arg-type]
    assert [entry.path for entry in listed.files] == ["./a.bin"]


async def test_a_path_is_a_store_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(cache_dir=tmp_path / "cache")
    store, pool, copy = Path("store"), Path("pool"), tmp_path / "copy"
    Path("tree").mkdir()
    Path("tree/file").write_text("content")
    pushed = await snapdir.push(Path("tree"), store, config=config, note="first")
    await snapdir.push("tree", Path("manifests"), objects_store=pool, config=config)
    await snapdir.tag("v1", pushed, store, config=config)
    await snapdir.pull("v1", store, Path("out"), config=config)
    await snapdir.pull(pushed, Path("manifests"), Path("out"), objects_store=pool, config=config)
    assert await snapdir.verify(pushed, store, config=config)
    assert (await snapdir.sync(pushed, store, copy, config=config)).snapshots == (pushed,)
    assert [found.id for found in await snapdir.ls(store, config=config)] == [pushed]
    assert [found.id for found in await snapdir.log(store, config=config)] == [pushed]
    assert [found.id for found in await snapdir.revisions(store, store=store, config=config)] == [pushed]
    assert (await snapdir.size(store, config=config)).files == 1
    assert (await snapdir.report(store, config=config)).snapshots[0].note == "first"
    assert await snapdir.diff(store, Path("tree"), config=config) == []
    assert await snapdir.cat(Path(f"store@{pushed}"), "file", config=config) == b"content"
    async with await snapdir.open_snapshot("v1", store, config=config) as snapshot:
        assert await snapshot.read("file") == b"content"
    assert (await snapdir.status("out", id="v1", store=store, config=config)).clean
    assert str(snapdir.StoreUri(tmp_path)) == str(tmp_path)
    assert len(snapdir.DiffOptions.from_refs([store], [copy]).before) == 1


def test_a_path_is_a_store_without_a_loop(tmp_path: Path) -> None:
    config, store = Config(cache_dir=tmp_path / "cache"), tmp_path / "store"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    pushed = blocking.push(tmp_path / "tree", store, config=config)
    with blocking.open_snapshot(pushed, store, config=config) as snapshot:
        assert snapshot.read("file") == b"content"


@pytest.mark.parametrize("url", ["s3://bucket/sets", "file:///store", "b2://bucket"])
async def test_a_path_that_was_made_of_a_url_is_told_the_url(url: str) -> None:
    with pytest.raises(
        snapdir.InvalidStore, match=f"lost a slash in a path object: write the str {url.replace('///', '//')}"
    ):
        await snapdir.ls(Path(url))
