"""Measuring a store: bench."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snapdir.api.stores import PathLike, local_path, parse_stores
from snapdir.config import Config
from snapdir.measurement.report import BenchReport
from snapdir.model.arguments import checked


@checked
async def bench(
    store: PathLike,
    *,
    seconds: float = 30.0,
    directory: PathLike | None = None,
    config: Config | None = None,
    on_phase: Callable[[str], None] = lambda _name: None,
) -> BenchReport:
    """Measure the throughput between this host and a store, and suggest options for transfers.

    Writes temporary objects below ``.bench/`` in the store, and removes them, also after a failure.

    Args:
        seconds: Time for the measurements, more than 0; the clean-up is not included.
        directory: The directory whose disk is measured; default: the directory for temporary files.
        on_phase: Called with the name of the next measurement.

    Raises:
        InvalidStore: not the URL of a store that can be opened.
        StoreError: the store fails.
        LocalError: ``directory`` cannot be written.
    """
    from snapdir.measurement.measure import SMALL_CONCURRENCIES, measure_store
    from snapdir.stores.open import open_store

    if not seconds > 0:
        raise ValueError(f"seconds must be more than 0, not {seconds}")
    config = config or Config()
    # A fixed number of concurrent requests: a limit that adapts would measure itself.
    requests, files = max(SMALL_CONCURRENCIES), config.limits.max_open_files
    settings = replace(config.stores, max_concurrency=requests, adaptive=None, max_open_files=files)
    stores = await parse_stores(store)
    async with open_store(stores.required, settings) as opened:
        return await measure_store(
            opened,
            seconds=seconds,
            directory=None if directory is None else local_path(directory),
            limits=config.limits,
            on_phase=on_phase,
        )
