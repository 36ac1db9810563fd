# SPDX-License-Identifier: Apache-2.0
"""
The kept results as Markdown: ``python -m bench.table`` writes them into docs/performance.md.

What stands between the two marks in that page is replaced; the prose around it is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.report import RESULTS, Figure

PAGE = RESULTS.parents[1] / "docs" / "performance.md"
BEGIN = "<!-- figures -->"
END = "<!-- /figures -->"


def table(folder: Path = RESULTS) -> str:
    """Return a table for each bench, with the machine that it ran on."""
    return "\n".join(_sections(folder))


def _sections(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text("utf-8"))
        facts = document["machine"]
        yield f"### `python -m bench.{document['bench']}`\n"
        yield (
            f"{facts['system']}, {facts['cores']} cores, Python {facts['python']}, "
            f"SQLite {facts['sqlite']}, {facts['date']}.\n"
        )
        yield "| what | figure | target | |"
        yield "|---|---|---|---|"
        for row in document["figures"]:
            yield _row(Figure(**row))
        yield ""


def _row(figure: Figure) -> str:
    sign = {"least": ">=", "most": "<="}[figure.sense]
    target = "" if figure.target is None else f"{sign} {figure.target:g}"
    verdict = {True: "met", False: "**missed**", None: ""}[figure.is_met]
    return f"| {figure.name} | {figure.value:,.2f} {figure.unit} | {target} | {verdict} |"


def write() -> None:
    """Bring the page up to date."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    write()
