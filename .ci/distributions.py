# SPDX-License-Identifier: Apache-2.0
"""
Check what was built: the source distribution is whole, and both ways to a wheel lead to one wheel.

Usage: ``python .ci/distributions.py SDIST WHEEL WHEEL_FROM_SDIST``, from the top of a checkout.
Exits with 1 and the names of the files that are missing or differ.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

#: Files without which the server, or a build of it, would not work; one of each kind.
WANTED_IN_THE_WHEEL = (
    "twisted/plugins/edgeserver.py",
    "edge_twisted/py.typed",
    "edge_twisted/config/schema.json",
)


def tracked() -> set[str]:
    """Return the files that git tracks and that exist, relative to the top."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout
    return {name for name in listed.splitlines() if Path(name).exists()}


def files_of_sdist(path: str) -> set[str]:
    """Return the names in a source distribution, without its top folder."""
    with tarfile.open(path) as archive:
        return {each.name.partition("/")[2] for each in archive.getmembers() if each.isfile()}


def contents_of_wheel(path: str) -> dict[str, bytes]:
    """Return the files of a wheel by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def faults(sdist: str, wheel: str, again: str) -> list[str]:
    """Return a line for each file that is missing or differs."""
    missing = sorted(tracked() - files_of_sdist(sdist))
    one, other = contents_of_wheel(wheel), contents_of_wheel(again)
    differing = sorted(
        name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
    )
    return [
        *(f"{name}: tracked, and not in the source distribution" for name in missing),
        *(f"{name}: differs between the wheels" for name in differing),
        *(f"{name}: not in the wheel" for name in WANTED_IN_THE_WHEEL if name not in one),
        *(f"{name}: tests in the wheel" for name in one if name.startswith(("tests/", "bench/"))),
    ]


if __name__ == "__main__":
    found = faults(*sys.argv[1:])
    print("\n".join(found) or "the source distribution is whole, and both wheels are equal")
    sys.exit(bool(found))
