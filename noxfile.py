# SPDX-License-Identifier: Apache-2.0
"""
The checks of CI and of contributors: ``nox`` runs all of them, ``nox -s quick`` the first minute.

`.ci/run` only installs nox and calls it, so a check that is added here is added to both.
Every environment is installed with the versions that ``constraints.txt`` names.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">= 2025.5"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.download_python = "never"
# CI says which interpreters it skipped and goes on: it need not have all of them.
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "fragments", "constraints", "package", "versions", "tests"]

TOP = Path(__file__).parent
CONSTRAINTS = TOP / "constraints.txt"
#: The Python versions of setup.cfg's classifiers.
PYTHONS = ["3.11", "3.12", "3.13"]
#: The seeds that CI simulates, beside the tests; some minutes.
SEEDS = "10000-12000"
#: Time for the tests of ``nox -s quick``, which leaves 30 s of a minute for lint and types.  Later
#: tests are skipped, and left to CI.
QUICK_SECONDS = 30


def install(session: nox.Session, *what: str) -> None:
    """Install distributions into the session's environment, in the locked versions."""
    session.install("-q", "-c", str(CONSTRAINTS), *what)


@nox.session
def quick(session: nox.Session) -> None:
    """Lint, types, and the tests of what changed since main (or since a commit that is given)."""
    install(session, ".[test,dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    chosen = session.run(
        "python", ".ci/changed_tests.py", *session.posargs, silent=True, stderr=None
    )
    files = str(chosen).split()
    if not files:
        session.log("nothing changed that has tests")
        return
    session.log("tests of what changed: %s", " ".join(files))
    session.run(
        "python", "-m", "pytest", "-q", "-x", "-m", "not slow and not system",
        f"--seconds={QUICK_SECONDS}", *files,
        env={"PYTHONPATH": str(TOP)}, success_codes=[0, 5],
    )  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Format and lint."""
    install(session, "ruff")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    install(session, ".[test,dev]")
    session.run("mypy")


@nox.session
def fragments(session: nox.Session) -> None:
    """News fragments that towncrier can read."""
    install(session, "towncrier")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)


@nox.session
def constraints(session: nox.Session) -> None:
    """Check that constraints.txt still is what setup.cfg asks for; ``nox -s lock`` mends it."""
    install(session, "uv")
    lately = Path(session.create_tmp()) / "constraints.txt"
    shutil.copy(CONSTRAINTS, lately)
    _lock(session, lately)
    if lately.read_text("utf-8") != CONSTRAINTS.read_text("utf-8"):
        session.error("constraints.txt does not fit setup.cfg any more: run nox -s lock")


@nox.session
def lock(session: nox.Session) -> None:
    """Make constraints.txt anew; ``nox -s lock -- --upgrade`` takes the newest of everything."""
    session.install("-q", "uv")
    _lock(session, CONSTRAINTS, *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the distributions; the wheel is the same from the checkout and from the sdist."""
    install(session, "build")
    built = _dist(session)
    shutil.rmtree(built, ignore_errors=True)
    # Not in place: setuptools would pack what it finds of an earlier build as well.
    checkout = _copy_of_tracked(built / "checkout")
    session.run("python", "-m", "build", "-s", "-w", "-o", str(built), str(checkout), silent=True)
    [sdist], [wheel] = built.glob("*.tar.gz"), built.glob("*.whl")
    again, unpacked = built / "again", built / "unpacked"
    shutil.unpack_archive(sdist, unpacked)
    [source] = unpacked.iterdir()
    session.run("python", "-m", "build", "-w", "-o", str(again), str(source), silent=True)
    session.run("python", ".ci/distributions.py", str(sdist), str(wheel), str(again / wheel.name))


@nox.session(python=PYTHONS)
def versions(session: nox.Session) -> None:
    """The tests that need no clock and no network, by each other installed Python version."""
    if session.python == platform.python_version().rpartition(".")[0]:
        session.skip("this version runs all tests, in the session `tests`")
    install(session, ".[test,dev]")
    session.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "tests/unit", "tests/contract", env={"PYTHONPATH": str(TOP)},
    )  # fmt: skip


@nox.session(requires=["package"])
def tests(session: nox.Session) -> None:
    """
    All tests, by the README's command, beside a simulation of meshes; or those that are given.

    The system tests drive the daemon of this session's environment, in which the wheel is
    installed and nothing else.
    """
    [wheel] = _dist(session).glob("*.whl")
    install(session, "--reinstall-package=edge-twisted", str(wheel))
    if session.posargs:
        _readme_tests(session)
        return
    # Not `session.create_tmp`: it would move the tests' folders to where paths of unix sockets are
    # too long for the system.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        python, module = Path(session.bin) / "python", "tests.support.simulation"
        simulation = subprocess.Popen(
            [python, "-m", module, "--seeds", SEEDS], stdout=said, stderr=subprocess.STDOUT
        )
        try:
            _readme_tests(session)
            failed = simulation.wait()
        finally:
            simulation.kill()
        said.seek(0)
        lines = said.read().splitlines()
    print("\n".join(lines if failed else lines[-1:]))
    if failed:
        session.error("the simulation failed")


@nox.session(requires=["package"])
def sbom(session: nox.Session) -> None:
    """Write the list of components (CycloneDX) of an installed server beside the distributions."""
    install(session, "cyclonedx-bom", "uv")
    [wheel] = _dist(session).glob("*.whl")
    served = Path(session.create_tmp()) / "served"
    session.run("uv", "venv", "-q", "--clear", str(served))
    python = str(served / "bin" / "python")
    session.run("uv", "pip", "install", "-q", "-p", python, "-c", str(CONSTRAINTS), str(wheel))
    # It names the folder that the wheel lay in, which is nobody's business.
    for noted in served.glob("lib/python*/site-packages/*/direct_url.json"):
        noted.unlink()
    session.run(
        "cyclonedx-py", "environment", "--output-reproducible",
        "-o", str(wheel.with_name(f"{wheel.name.split('-py3')[0]}.cdx.json")), python,
    )  # fmt: skip
    session.log("distributions and their components are in %s", _dist(session))


def _dist(session: nox.Session) -> Path:
    """Return the folder of the distributions that this run of nox builds."""
    return session.cache_dir / "dist"


def _copy_of_tracked(to: Path) -> Path:
    """Copy the files that git tracks, as they are now, and return the folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True, capture_output=True)
    for name in listed.stdout.decode().rstrip("\0").split("\0"):
        if (TOP / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, to / name)
    return to


def _lock(session: nox.Session, output: Path, *options: str) -> None:
    session.run(
        "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
        "--all-extras", "--no-annotate", "--custom-compile-command", "nox -s lock",
        "--output-file", str(output), *options, "setup.cfg",
    )  # fmt: skip


def _readme_tests(session: nox.Session) -> None:
    """Run the test command as the README has it, with the locked versions."""
    [command] = [
        line.strip()
        for line in (TOP / "README.md").read_text("utf-8").splitlines()
        if " -m pytest" in line
    ]
    session.run(
        "bash", "-c", f"{command} {shlex.join(session.posargs)}", external=True,
        env={"EDGE_TEST_BIN": session.bin, "PIP_CONSTRAINT": str(CONSTRAINTS)},
    )  # fmt: skip
