# SPDX-License-Identifier: Apache-2.0
"""
How figures are kept: a name, a value with its unit, the target, and facts about the machine.

Every bench prints its figures and writes them to ``bench/results/NAME.json`` when it is run with
``--save``; ``python -m bench`` runs them all and draws ``bench/results/ratios.svg``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import apsw
from attrs import asdict, frozen

from edge_twisted import __version__

RESULTS = Path(__file__).parent / "results"


@frozen(kw_only=True)
class Figure:
    """
    One measured number.

    `sense` says which side of `target` is good: ``most`` is a ceiling, ``least`` a floor.  Figures
    without a target are the yardsticks that ratios were taken from.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    sense: Literal["least", "most"] = "least"

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.sense == "least" else self.value <= self.target

    def __str__(self) -> str:
        verdict = {True: "met", False: "MISSED", None: ""}[self.is_met]
        bound = {"least": ">=", "most": "<="}[self.sense]
        target = f"{bound} {self.target:g}" if self.target is not None else ""
        return f"{self.name:<58} {self.value:>12,.2f} {self.unit:<8} {target:>10} {verdict}"


#: One part of a bench: measures with files in a folder of its own.
Part = Callable[[Path], Iterator[Figure]]


def median(name: str, values: Sequence[float], unit: str, **kw: object) -> Figure:
    """Return the median of several rounds as a figure."""
    return Figure(name=name, value=statistics.median(values), unit=unit, **kw)  # type: ignore[arg-type]


def machine() -> dict[str, object]:
    """Return what a reader must know of the machine to judge the figures."""
    return {
        "version": __version__,
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def publish(bench: str, figures: Iterable[Figure], *, save: bool) -> None:
    """Print the figures; write them to the results as well if asked to."""
    rows = list(figures)
    facts = machine()
    print(f"== {bench}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    for row in rows:
        print(row)
    if save:
        RESULTS.mkdir(exist_ok=True)
        document = {"bench": bench, "machine": facts, "figures": [asdict(row) for row in rows]}
        path = RESULTS / f"{bench}.json"
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        # Here, because the page is made from what this module keeps.
        from bench import table

        table.write()


def run_parts(bench: str, parts: Mapping[str, Part], description: str | None) -> None:
    """Run the parts that the command line names, else all; print and perhaps keep the figures."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args()
    figures: list[Figure] = []
    for name in options.parts or parts:
        with tempfile.TemporaryDirectory() as folder:
            for figure in parts[name](Path(folder)):
                sys.stderr.write(f"{figure}\n")
                figures.append(figure)
    publish(bench, figures, save=options.save)
