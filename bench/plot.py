# SPDX-License-Identifier: Apache-2.0
"""Draws the kept results as one SVG: each figure with a target as a bar relative to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bench.report import RESULTS, Figure

ROW = 18
NAMES = 430
SCALE = 130
#: Bars end here: a figure twenty times better than its target needs no longer one.
MOST = 4.0


def figures(folder: Path) -> Iterator[tuple[str, Figure]]:
    """Yield (bench, figure) of all kept results that have a target."""
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        for row in document["figures"]:
            if row["target"] is not None:
                yield document["bench"], Figure(**row)


def goodness(figure: Figure) -> float:
    """Return how many times as good as its target a figure is; 1 just meets it."""
    assert figure.target is not None
    low, high = sorted((abs(figure.value), abs(figure.target)))
    if low == 0:
        return MOST if figure.is_met else 0.0
    return high / low if figure.is_met else low / high


def svg(folder: Path) -> str:
    """Return the picture."""
    rows = list(figures(folder))
    height = ROW * (len(rows) + 2)
    width = NAMES + int(SCALE * MOST) + 90
    line = NAMES + SCALE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{line}" y="12" text-anchor="middle">target</text>',
        f'<line x1="{line}" y1="16" x2="{line}" y2="{height - ROW}" stroke="black"/>',
    ]
    for index, (bench, figure) in enumerate(rows, 1):
        parts.extend(_bar(ROW * index + 4, bench, figure))
    return "\n".join([*parts, "</svg>\n"])


def _bar(y: int, bench: str, figure: Figure) -> Iterator[str]:
    width = int(SCALE * min(goodness(figure), MOST))
    colour = "#3a7d44" if figure.is_met else "#b33939"
    label = escape(f"{bench}: {figure.name}")
    yield f'<text x="{NAMES - 6}" y="{y + 11}" text-anchor="end">{label}</text>'
    yield f'<rect x="{NAMES}" y="{y}" width="{width}" height="{ROW - 5}" fill="{colour}"/>'
    value = escape(f"{figure.value:,.3g} {figure.unit}")
    yield f'<text x="{NAMES + width + 4}" y="{y + 11}">{value}</text>'


def draw() -> Path:
    """Write the picture beside the results; return where it is."""
    path = RESULTS / "ratios.svg"
    path.write_text(svg(RESULTS), "utf-8")
    return path
