# SPDX-License-Identifier: Apache-2.0
"""
What an honest client feels of floods: ``python -m bench.floods [--save]``.

A real daemon with TLS, keys and the audit log; an honest client that reads one document by id, on
a connection that it keeps and in a process of its own; an attacker in another process.  A calm
spell and one under the flood follow each other, and the figure is the ratio of their medians.
``--before FOLDER`` measures another checkout in the same run, in turns with this one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from attrs import define, field, frozen

from bench.http_sides import ROOT, Side, ours
from bench.report import Figure, publish

#: Wrong keys a second, as the target has it; new connections a second are what two cores can send.
RATE = 2000
#: The most that a flood may multiply an honest client's median with.
TARGET = 3.0
#: A key that another tool hashed: argon2id, 19 MiB and two passes, without a public id.
FOREIGN_HASH = (
    "JGFyZ29uMmlkJHY9MTkkbT0xOTQ1Nix0PTIscD0xJE1ERXlNelExTmpjNE9XRmlZMlJsWmckQUFBQUFBQUFBQUFB"
    "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="
)


@frozen(kw_only=True)
class Flood:
    """One kind of attack: its name, the attacker's word for it, how many a second."""

    name: str
    kind: str
    rate: int


WRONG_KEYS = Flood(name=f"{RATE}/s wrong keys", kind="keys", rate=RATE)
#: More than are answered: what is sent ahead waits on its connection.
PIPELINED_KEYS = Flood(name="wrong keys, pipelined", kind="pipelined", rate=10 * RATE)
HASHED_KEYS = Flood(name=f"{RATE}/s wrong keys, each to hash", kind="keys", rate=RATE)
CONNECTIONS = Flood(name="new TLS connections", kind="connections", rate=RATE)


def main() -> None:
    """Print the figures, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of each spell")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--before", type=Path, help="another checkout to measure beside this one")
    options = parser.parse_args()
    checkouts = {"": ROOT}
    if options.before is not None:
        checkouts[" before"] = options.before.resolve()
    figures: list[Figure] = []
    attacks: tuple[tuple[tuple[str, ...], tuple[Flood, ...]], ...] = (
        ((), (WRONG_KEYS, PIPELINED_KEYS, CONNECTIONS)),
        ((FOREIGN_HASH,), (HASHED_KEYS,)),
    )
    for hashes, floods in attacks:
        with ExitStack() as stack:
            sides = {}
            for name, checkout in checkouts.items():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                sides[name] = stack.enter_context(ours(folder, hashes=hashes, checkout=checkout))
            for flood in floods:
                figures += _measure(sides, flood, options.seconds, options.rounds)
    publish("floods", figures, save=options.save)


@define
class _Found:
    """What several spells on one side brought."""

    calm: list[float] = field(factory=list)
    p50: list[float] = field(factory=list)
    p99: list[float] = field(factory=list)
    answered: list[float] = field(factory=list)

    def figures(self, name: str, target: float | None) -> list[Figure]:
        """Return the medians, and how many times the median of calm spells was multiplied."""
        median = statistics.median
        slower = median(self.p50) / median(self.calm)
        return [
            Figure(name=f"{name}: answered", value=median(self.answered), unit="1/s"),
            Figure(name=f"{name}: honest p50, calm", value=median(self.calm), unit="ms"),
            Figure(name=f"{name}: honest p50", value=median(self.p50), unit="ms"),
            Figure(name=f"{name}: honest p99", value=median(self.p99), unit="ms"),
            Figure(
                name=f"{name}: p50 slower by", value=slower, unit="x", target=target, sense="most"
            ),
        ]


def _measure(
    sides: Mapping[str, Side], flood: Flood, seconds: float, rounds: int
) -> Iterator[Figure]:
    found = {name: _Found() for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            spells = found[name]
            spells.calm.append(_honest(side, seconds)["p50_ms"])
            attacker = _client(side, flood.kind, seconds + 2, flood.rate)
            under = _honest(side, seconds)
            spells.p50.append(under["p50_ms"])
            spells.p99.append(under["p99_ms"])
            spells.answered.append(json.loads(attacker.communicate()[0])["answered_per_second"])
    for name, spells in found.items():
        yield from spells.figures(f"{flood.name}{name}", None if name else TARGET)


def _honest(side: Side, seconds: float) -> Mapping[str, float]:
    told: Mapping[str, float] = json.loads(_client(side, "honest", seconds, 200).communicate()[0])
    return told


def _client(side: Side, kind: str, seconds: float, rate: int) -> subprocess.Popen[bytes]:
    words = [kind, side.url, str(side.ca), side.key or "", str(seconds), str(rate)]
    return subprocess.Popen(
        [sys.executable, "-m", "bench.floods_clients", *words], cwd=ROOT, stdout=subprocess.PIPE
    )


if __name__ == "__main__":
    main()
