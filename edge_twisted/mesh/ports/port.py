# SPDX-License-Identifier: Apache-2.0
"""The port: what the parts of a session may do, which is to send, ask, compute and tell."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from edge_twisted.documents.clock import Timestamp
from edge_twisted.mesh.ports.effects import Event
from edge_twisted.mesh.ports.requests import Answer, Question
from edge_twisted.mesh.wire.messages import Message

A = TypeVar("A", bound=Answer)
T = TypeVar("T")


class Port(Protocol):
    """The session, as its streams and repairs see it; effects keep the order of calls."""

    @property
    def now(self) -> float:
        """Monotonic seconds of the call from outside that is being handled."""

    @property
    def declared(self) -> Timestamp:
        """The hybrid clock that the peer declared, see `session.clocks`."""

    def send(self, message: Message) -> None:
        """Send a message to the peer."""

    def send_batch(self, payload: bytes) -> None:
        """Send the peer a BATCH; `payload` is the whole message, as `messages.encode` made it."""

    def ask(self, request: Question[A], then: Callable[[A], None]) -> None:
        """Have the database perform a request, and call `then` with its answer.

        A request that fails ends the link, and `then` is not called.
        """

    def ask_in_turn(self, request: Question[A], then: Callable[[A], None]) -> None:
        """Do as `ask`, for what the peer wants read: requests run in order, few at a time."""

    def compute(self, steps: Generator[None, None, T], then: Callable[[T], None]) -> None:
        """Have steps run to their end, some at a time, and call `then` with what they return.

        An exception of a step ends the link.
        """

    def tell(self, event: Event) -> None:
        """Tell the owner of the link of an event."""
