# SPDX-License-Identifier: Apache-2.0
"""
Does a server that has much to do for long stay as it is?  ``python -m bench.soak --minutes 60``.

It starts the daemon as a user would (TLS, keys, throttling, audit log, in a process of its own),
asks it for a bounded mixture of things at a modest rate (`bench.soak_load`), with a flood of some
seconds now and then, and looks at the process once a minute: resident memory, descriptors,
threads, requests, latencies.  The curve is flat if the last third of the minutes is not above the
second; the first third is for caches to fill.  ``--save`` keeps the curve in
``bench/results/soak.md`` and the figures in ``bench/results/soak.json``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, quantiles
from time import monotonic

from attrs import frozen

from bench.http_sides import Side, ours
from bench.report import RESULTS, Figure, machine, publish
from bench.soak_load import WORKERS, Account, Tally, Worker, flood

#: Requests per second of the modest load, together.
RATE = 150.0
FLOOD_SECONDS = 5.0
#: A flood begins in the middle of each minute of this many; short runs have some too.
FLOOD_EVERY_MINUTES = 5
#: The last third may hold this much more than the second: pages that the allocator keeps come and
#: go, and a leak of a hundredth of a request's memory shows within an hour.
MOST_GROWTH = 1.05
#: Descriptors come and go with connections; more than this is a leak.
MOST_MORE_DESCRIPTORS = 8


@frozen(kw_only=True)
class Minute:
    """What one minute showed; latencies are those of the modest load, in milliseconds."""

    number: int
    resident_mib: float
    descriptors: int
    threads: int
    requests: int
    failures: int
    floods: int
    p50_ms: float
    p99_ms: float


def main() -> int:
    """Run the soak; the exit status says whether the curve is flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=float, default=RATE, help="requests per second")
    parser.add_argument("--save", action="store_true", help="keep the curve in bench/results")
    options = parser.parse_args()
    if options.minutes < 3:
        parser.error("three minutes are the least: one for each third")
    account = Account()
    with tempfile.TemporaryDirectory() as folder, ours(Path(folder)) as side:
        minutes = run(side, account, options.minutes, options.rate)
    figures = list(judged(minutes))
    publish("soak", figures, save=options.save)
    if options.save:
        (RESULTS / "soak.md").write_text(page(minutes, options.rate), "utf-8")
    for problem in account.problems:
        print(f"failed: {problem}")
    is_flat = all(figure.is_met is not False for figure in figures)
    print("The curve is flat." if is_flat else "The curve is NOT flat.")
    return 0 if is_flat else 1


def run(side: Side, account: Account, minutes: int, rate: float) -> list[Minute]:
    """Load the server for so many minutes; print and return what each of them showed."""
    pause_seconds = WORKERS / rate
    workers = [
        Worker(side, account, number, pause_seconds, is_flood=False) for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    found: list[Minute] = []
    begun = monotonic()
    ended = threading.Event()
    every = min(FLOOD_EVERY_MINUTES, max(1, minutes // 3))
    print(HEAD)
    for number in range(1, minutes + 1):
        if number % every == 0:
            ended.wait(max(0.0, begun + number * 60.0 - 30.0 - monotonic()))
            flood(side, account, FLOOD_SECONDS, ended)
        ended.wait(max(0.0, begun + number * 60.0 - monotonic()))
        found.append(seen(side, number, account.take()))
        print(row(found[-1]), flush=True)
    for worker in workers:
        worker.end()
    for worker in workers:
        worker.join(60)
    return found


def seen(side: Side, number: int, tally: Tally) -> Minute:
    """Look at the process, and at what was asked since the last look."""
    process = Path(f"/proc/{side.pid}")
    status = (process / "status").read_text()
    [threads] = [line.split()[1] for line in status.splitlines() if line.startswith("Threads:")]
    hundredths = quantiles([*tally.latencies, 0.0, 0.0], n=100)
    return Minute(
        number=number,
        resident_mib=side.resident_mib(),
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(threads),
        requests=sum(tally.counts.values()),
        failures=tally.failures,
        floods=tally.floods,
        p50_ms=hundredths[49] * 1000,
        p99_ms=hundredths[98] * 1000,
    )


def thirds(minutes: Sequence[Minute]) -> tuple[Sequence[Minute], Sequence[Minute]]:
    """Return the second and the last third."""
    third = len(minutes) // 3
    return minutes[-2 * third : -third], minutes[-third:]


def judged(minutes: Sequence[Minute]) -> list[Figure]:
    """Return the figures of the run; those that say whether it is flat have a target."""
    second, last = thirds(minutes)
    before = mean(each.resident_mib for each in second)
    after = mean(each.resident_mib for each in last)
    more = median(e.descriptors for e in last) - median(e.descriptors for e in second)
    threads = max(each.threads for each in last) - max(each.threads for each in second)
    return [
        Figure(name="minutes", value=len(minutes), unit="min"),
        Figure(name="requests", value=sum(each.requests for each in minutes), unit=""),
        Figure(
            name="requests that failed",
            value=sum(each.failures for each in minutes),
            unit="",
            target=0,
            sense="most",
        ),
        Figure(name="resident memory, first minute", value=minutes[0].resident_mib, unit="MiB"),
        Figure(name="resident memory, second third", value=before, unit="MiB"),
        Figure(name="resident memory, last third", value=after, unit="MiB"),
        Figure(
            name="last third against second, memory",
            value=after / before,
            unit="",
            target=MOST_GROWTH,
            sense="most",
        ),
        Figure(
            name="last third less second, descriptors",
            value=more,
            unit="",
            target=MOST_MORE_DESCRIPTORS,
            sense="most",
        ),
        Figure(
            name="last third less second, threads", value=threads, unit="", target=0, sense="most"
        ),
        Figure(name="median of p50", value=median(e.p50_ms for e in minutes), unit="ms"),
        Figure(name="median of p99", value=median(e.p99_ms for e in minutes), unit="ms"),
    ]


COLUMNS = [
    "minute",
    "resident MiB",
    "descriptors",
    "threads",
    "requests",
    "failed",
    "floods",
    "p50 ms",
    "p99 ms",
]
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def row(minute: Minute) -> str:
    """Return a minute as a line of the table."""
    return (
        f"| {minute.number} | {minute.resident_mib:.1f} | {minute.descriptors} | {minute.threads}"
        f" | {minute.requests} | {minute.failures} | {minute.floods}"
        f" | {minute.p50_ms:.2f} | {minute.p99_ms:.2f} |"
    )


def page(minutes: Sequence[Minute], rate: float) -> str:
    """Return the curve as a page of Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    lines = [
        "# A soak by minute",
        "",
        f"`python -m bench.soak --minutes {len(minutes)}`, {rate:g} requests a second and floods;"
        f" {facts}.",
        "",
        HEAD,
        *map(row, minutes),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
