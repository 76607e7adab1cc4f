"""The lines that runners of AWS's workloads print."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from statistics import fmean, median, pstdev, pvariance

__all__ = ["overall_lines", "run_line"]


def run_line(number: int, seconds: float, size: int) -> str:
    """The line of one run: its number from 1, its time, and gigabits per second."""
    return f"Run:{number} Secs:{seconds:f} Gb/s:{_gigabits(size) / seconds:f}"


def overall_lines(durations: Sequence[float], size: int) -> list[str]:
    """The lines after the last run: throughput, time and memory of this process."""
    throughputs = [_gigabits(size) / seconds for seconds in durations]
    return [
        _statistics("Throughput (Gb/s)", throughputs),
        _statistics("Duration (Secs)", durations),
        f"Peak RSS:{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:f} MiB",
    ]


def _gigabits(size: int) -> float:
    return size * 8 / 1e9


def _statistics(label: str, values: Sequence[float]) -> str:
    figures = {
        "Median": median(values),
        "Mean": fmean(values),
        "Min": min(values),
        "Max": max(values),
        "Variance": pvariance(values),
        "StdDev": pstdev(values),
    }
    return f"Overall {label} " + " ".join(f"{name}:{value:f}" for name, value in figures.items())
