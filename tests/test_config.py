"""Config: options of every verb in one value, with the names of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import snapdir
from snapdir.config import Config
from snapdir.errors import InvalidOption, ManifestTooLarge
from snapdir.model.sizes import GIB, MIB


def test_options_go_where_they_are_used(tmp_path: Path) -> None:
    config = Config(cache_dir=tmp_path).with_options(
        jobs=7, walk_jobs=3, workers=2, memory="256MiB", part_size=16 * MIB, limit_rate="10M", max_requests=50,
        max_retries=2, retry_base_ms=10, retry_max_ms=2000, fsync=False, clone=False, verify_copies=True,
        max_manifest_size="1GiB", index_size="3MiB", stall_timeout=6, min_rate="2K",
    )  # fmt: skip
    limits, stores = config.limits, config.stores
    assert (limits.jobs, limits.hash_threads, limits.memory_bytes, limits.part_bytes) == (7, 3, 256 * MIB, 16 * MIB)
    assert limits.hash_processes == 2
    assert config.index_bytes == 3 * MIB
    assert (stores.max_concurrency, stores.limit_rate_bytes, stores.max_requests_per_second) == (7, 10 * MIB, 50)
    assert (stores.retry.attempts, stores.retry.base_seconds, stores.retry.max_seconds) == (2, 0.01, 2.0)
    assert (stores.fsync, stores.clone, stores.verify_copies) == (False, False, True)
    assert (limits.max_manifest_bytes, stores.min_rate_bytes) == (GIB, 2048)
    assert (stores.stall_timeout_seconds, stores.first_byte_timeout_seconds) == (6, 9)


def test_the_documented_defaults_change_nothing() -> None:
    documented = Config().with_options(
        jobs=0, walk_jobs=0, memory="128MiB", part_size="8MiB", max_manifest_size="4GiB", stall_timeout=20,
        min_rate="1K", retry_base_ms=250, retry_max_ms=30000, fsync=True, clone=True, verify_copies=False,
        no_sign_request=False, index_size="2GiB",
    )  # fmt: skip
    assert documented == Config()
    assert Config().stores.retry.attempts == 5


async def test_manifests_of_any_length_are_taken_where_the_bound_is_zero(tmp_path: Path) -> None:
    for bound, fails in ((0, False), (1, True)):
        config = Config(cache_dir=tmp_path / "cache").with_options(max_manifest_size=bound)
        (tmp_path / "tree").mkdir(exist_ok=True)
        if fails:
            with pytest.raises(ManifestTooLarge):
                await snapdir.push(tmp_path / "tree", f"file://{tmp_path}/store{bound}", config=config)
        else:
            assert await snapdir.push(tmp_path / "tree", f"file://{tmp_path}/store{bound}", config=config)


def test_what_is_not_given_stays(tmp_path: Path) -> None:
    config = Config(cache_dir=tmp_path).with_options(jobs=7, limit_rate="1M")
    assert config.with_options() == config
    changed = config.with_options(limit_rate=0, cache_dir="~/elsewhere")
    assert changed.limits == config.limits
    assert changed.stores.limit_rate_bytes is None
    assert changed.cache_dir == Path.home() / "elsewhere"


async def test_every_function_means_the_same_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_text("a")
    config = Config(cache_dir=Path("~/cache"))
    assert config.cache_dir == tmp_path / "cache"
    snapshot_id = await snapdir.stage(tmp_path / "tree", config=config)
    await snapdir.checkout(snapshot_id, tmp_path / "copy", config=config)
    assert (await snapdir.status(tmp_path / "copy", config=config)).id == snapshot_id
    await snapdir.flush_cache(config=config)
    assert {file.name for file in (tmp_path / "cache").iterdir()} == {".checkouts"}


def test_a_catalog_is_a_name_a_path_or_none(tmp_path: Path) -> None:
    config = Config(cache_dir=tmp_path).with_options(catalog="default")
    assert config.catalog == tmp_path / "default-catalog.sqlite3"
    assert config.with_options(catalog=tmp_path / "own").catalog == tmp_path / "own"
    assert config.with_options(jobs=1).catalog == config.catalog
    assert config.with_options(catalog="none").catalog is None


def test_the_record_in_the_store_is_an_option_of_its_own() -> None:
    quiet = Config().with_options(shared_catalog=False)
    assert (Config().shared_catalog, quiet.shared_catalog, quiet.with_options(jobs=1).shared_catalog) == (
        True,
        False,
        False,
    )
    assert quiet.with_options(shared_catalog=True).shared_catalog


@pytest.mark.parametrize("options", [{"memory": "lots"}, {"limit_rate": "fast"}, {"memory": "1MiB"}, {"part_size": ""}])
def test_a_bad_value_names_its_option(options: dict[str, str]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        Config().with_options(**options)  # type: ignore[arg-type]
