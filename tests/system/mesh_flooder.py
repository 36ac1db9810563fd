# SPDX-License-Identifier: Apache-2.0
"""
A member that floods: it has the secret of a mesh, and comes again whenever its link ends.

``python -m tests.system.mesh_flooder PORT TOKEN FOLDER KIND`` goes on until it is ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice, repeat
from pathlib import Path
from typing import Final

from edge_twisted.mesh.wire import messages as m
from tests.system.mesh_member import Member

#: Written at a time.
AT_ONCE: Final = 500
#: Where it dials from: what its floods cost its network must not be its neighbours'.
ADDRESS: Final = "127.2.0.1"
#: Before it comes again.
PAUSE_SECONDS: Final = 0.05
#: The first flood begins.
READY: Final = "ready"
#: What the floods are about; the server that is flooded has it.
FLOODED: Final = "SELECT * FROM rows"
_NO_ARGUMENTS: Final = b"\x80"


def _repairs(_: m.Subscribe) -> Iterator[m.Message]:
    yield m.Subscribe(1, FLOODED, _NO_ARGUMENTS, None, 1)
    for n in count():
        yield m.RepairBegin(1, n.to_bytes(16, "big"))


def _subscriptions(_: m.Subscribe) -> Iterator[m.Message]:
    for n in count(1):
        yield m.Subscribe(n, f"{FLOODED} WHERE n = {n}", _NO_ARGUMENTS, None, 0)
        yield m.Unsubscribe(n)


def _claims(_: m.Subscribe) -> Iterator[m.Message]:
    for n in count():
        yield m.Met(2**40 + n)


def _lone_claims(_: m.Subscribe) -> Iterator[m.Message]:
    yield m.Met(2**40)


def _keep_alives(_: m.Subscribe) -> Iterator[m.Message]:
    return repeat(m.KeepAlive([]))


def _presence(_: m.Subscribe) -> Iterator[m.Message]:
    for n in count():
        yield m.Presence([n.to_bytes(40, "big")])


def _deletions(theirs: m.Subscribe) -> Iterator[m.Message]:
    for n in count():
        vector = [(n.to_bytes(16, "big"), 1, 1)]
        yield m.Gone(theirs.number, False, [m.WireSeen(b"\x40id\x00\x01", vector)])


FLOODS: Final[dict[str, Callable[[m.Subscribe], Iterator[m.Message]]]] = {
    "repairs": _repairs,
    "subscriptions": _subscriptions,
    "claims": _claims,
    # One on each link.
    "lone claims": _lone_claims,
    "keep-alives": _keep_alives,
    "presence": _presence,
    "deletions": _deletions,
}


class Flood:
    """The bytes of one kind of flood, made once: making them must not be what is measured."""

    def __init__(self, kind: str) -> None:
        self._messages = FLOODS[kind]
        self._blocks: list[bytes] = []
        self._unmade: Iterator[m.Message] | None = None

    def pour(self, member: Member) -> None:
        """
        Send without end, as fast as the server reads.

        :raises OSError: the link has ended.
        """
        theirs = member.meet()
        for at in count():
            if at == len(self._blocks):
                self._blocks.append(self._made(theirs))
            block = self._blocks[at]
            member.raw_or_fail(block)
            member.drain(0.0 if block else 0.1)

    def _made(self, theirs: m.Subscribe) -> bytes:
        if self._unmade is None:
            self._unmade = self._messages(theirs)
        some = islice(self._unmade, AT_ONCE)
        return b"".join(_frame(m.encode(each)) for each in some)


def _frame(payload: bytes) -> bytes:
    """Return a frame that is not deflated: it can be sent at any place of any link."""
    return len(payload).to_bytes(4, "big") + payload


@contextmanager
def flooder(port: int, token: str, folder: Path, kind: str) -> Iterator[None]:
    """Have a member that floods, in a process of its own."""
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-m", __name__, str(port), token, str(folder), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == READY
            yield
        finally:
            process.kill()


def main() -> None:
    """Be one."""
    port, token, folder, kind = sys.argv[1:5]
    # What the server does about it counts, and not what this process takes of the machine.
    os.nice(5)
    is_first = True
    made = Flood(kind)
    while True:
        try:
            member = Member(int(port), token, Path(folder), ADDRESS)
            if is_first:
                sys.stdout.write(f"{READY}\n")
                sys.stdout.flush()
                is_first = False
            made.pour(member)
        except (OSError, AssertionError):
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
