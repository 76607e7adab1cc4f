"""Bars side by side as SVG: one for each snapshot, or for several where there are many. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from snapdir.cli.pages.document import safe
from snapdir.model.sizes import format_size

MAX_BARS = 600
"""More could not be told apart on a wide screen."""

MAX_SEPARATE = 60
"""Up to so many bars have gaps between them."""

HEIGHT = 100


class Bar(NamedTuple):
    """Bytes in all, and the part of them that is drawn in the strong color; ``day`` stands below the first and last."""

    total: int
    part: int
    day: str


def chart(title: str, legend: tuple[str, str], bars: Sequence[Bar]) -> Iterator[str]:
    """A figure.

    Args:
        legend: What the strong color means, and what the rest of a bar.
    """
    together = -(-len(bars) // MAX_BARS)
    drawn = [max(bars[first : first + together]) for first in range(0, len(bars), together)]
    highest = max(bar.total for bar in drawn)
    note = f"; each bar is the largest of {together}" if together > 1 else ""
    key = f'<i class="new"></i>{legend[0]} <i class="shared"></i>{legend[1]}'
    yield f"<figure><figcaption>{title}{note}: {key}</figcaption>"
    yield f'<div class="axis"><span>{format_size(highest)}</span></div>'
    yield f'<div class="plot"><svg viewBox="0 0 {len(drawn)} {HEIGHT}" preserveAspectRatio="none" role="img">'
    yield f"<title>{title}</title>"
    yield f'<path class="shared" d="{_path((bar.total for bar in drawn), highest, len(drawn))}"/>'
    yield f'<path class="new" d="{_path((bar.part for bar in drawn), highest, len(drawn))}"/></svg></div>'
    days = dict.fromkeys(filter(None, (bars[0].day, bars[-1].day)))
    yield f'<div class="axis">{"".join(f"<span>{safe(day)}</span>" for day in days)}</div></figure>'


def _path(values: Iterable[int], highest: int, count: int) -> str:
    width = "0.8" if count <= MAX_SEPARATE else "1"
    heights = (round(HEIGHT * value / highest, 1) if highest else 0 for value in values)
    return "".join(f"M{number} {HEIGHT}v-{height:g}h{width}v{height:g}z" for number, height in enumerate(heights))
