# SPDX-License-Identifier: Apache-2.0
"""`docs/mesh-protocol.md` says what the code does: tables, limits, bytes."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import get_args

import pytest

import edge_twisted
from edge_twisted.mesh.limits.rates import OWN_PRESENCE, OWN_SUBSCRIPTIONS
from edge_twisted.mesh.links.strangers import ARRIVALS, MAX_OF_NETWORK, MAX_STRANGERS
from edge_twisted.mesh.presence.codec import decode, signed_bytes
from edge_twisted.mesh.session.states import (
    FROM_RECEIVER,
    FROM_SENDER,
    INCOMING,
    OF_THE_LINK,
    OUTGOING,
    IncomingState,
    OutgoingState,
)
from edge_twisted.mesh.trust.signatures import is_signed_by
from edge_twisted.mesh.wire import frames
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.end_reasons import EndReason, end_reason
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.mesh.wire.violations import PeerViolation
from tests.support.mesh_vectors import (
    TABLES,
    checksum_rows,
    delta_row,
    end_rows,
    examples,
    message_rows,
    payload_rows,
    presence_record,
    presence_rows,
    rate_rows,
    state_rows,
)

PAGE = (Path(edge_twisted.__file__).parent.parent / "docs" / "mesh-protocol.md").read_text("utf-8")


@pytest.mark.parametrize(
    "row",
    [
        *message_rows(),
        *chain.from_iterable(map(state_rows, TABLES)),
        *rate_rows(),
        *end_rows(),
    ],
)
def test_tables_are_printed(row: str) -> None:
    assert row in PAGE


@pytest.mark.parametrize("row", [*payload_rows(), *checksum_rows(), delta_row(), *presence_rows()])
def test_payloads_are_printed(row: str) -> None:
    assert f"    {row}\n" in PAGE


def test_examples_survive_the_wire() -> None:
    for message in examples():
        assert m.decode(m.encode(message)) == message


def test_printed_frames_can_be_read() -> None:
    printed = PAGE.rpartition("\n\n    ")[2].split()
    reader = FrameReader()
    reader.feed(bytes.fromhex("".join(printed)))
    read = [m.decode(payload) for payload in reader.messages()]
    assert read == [m.Met(41), m.Met(42), m.Blob(b"chunk")]


def test_the_printed_record_is_signed_by_its_peer() -> None:
    (printed,) = (line for line in PAGE.splitlines() if line.startswith("    record "))
    record = decode(bytes.fromhex(printed.split()[1]))
    assert record == presence_record()
    assert is_signed_by(record.peer, record.signature, signed_bytes(record))


def test_no_other_reasons_for_ends_are_printed() -> None:
    printed = PAGE.partition("**Ends.**")[2].partition("\n## ")[0]
    assert {row for row in printed.splitlines() if row.startswith("| `")} == set(end_rows())


def test_a_reason_that_a_later_version_gives_is_no_error() -> None:
    assert [end_reason(reason) for reason in EndReason] == list(EndReason)
    assert [end_reason(str(reason)) for reason in EndReason] == list(EndReason)
    assert end_reason("of_a_later_version") is None


def test_limits_are_printed() -> None:
    # However its lines are wrapped.
    page = " ".join(PAGE.split())
    assert f"at most {frames.MAX_FRAME_BYTES:,} bytes" in page
    assert frames.MAX_MESSAGE_BYTES == 32 << 20 and "32 MiB after inflating" in page
    assert f"at most {frames.MAX_GREETING_BYTES:,} bytes" in page
    assert f"{m.MAX_ITEMS:,} each" in page
    assert f"{ARRIVALS.burst} connections are taken at once, then {ARRIVALS.per_second:g}" in page
    assert f"{MAX_STRANGERS}, of these {MAX_OF_NETWORK} of one network" in page
    ours = OWN_SUBSCRIPTIONS
    assert f"{ours.burst:,} SUBSCRIBE at once and {ours.per_second:g}" in page
    assert f"{OWN_PRESENCE.burst:,} records at once and {OWN_PRESENCE.per_second:g}" in page


def test_every_message_has_a_row_in_one_table_with_every_state() -> None:
    for kind in get_args(m.Message):
        places = [kind in FROM_SENDER, kind in FROM_RECEIVER, kind in OF_THE_LINK]
        assert sum(places) == 1, kind
    assert {event for event in INCOMING[IncomingState.IDLE] if isinstance(event, type)} == set(
        FROM_SENDER
    )
    assert {event for event in OUTGOING[OutgoingState.ENDED] if isinstance(event, type)} == set(
        FROM_RECEIVER
    )


def test_unknown_kinds_are_ignored_or_refused_and_new_fields_are_ignored() -> None:
    assert m.decode(m.encode([65, "anything", {"at": "all"}])) is None
    assert m.decode(m.encode([127])) is None
    assert m.decode(m.encode([2, 41, "a field of a later version"])) == m.Met(41)
    for payload in (
        m.encode([63]), m.encode([128]), m.encode([-1]), m.encode(["HELLO"]), m.encode([]),
        m.encode({1: 2}), m.encode(5), b"", b"\x91", b"\xdc\x00", m.encode([2]), m.encode([2, -1]),
        m.encode([2, True]), m.encode([2, 41]) + b"\x00", m.encode([7, 1, 2**62]),
        m.encode([8, 1, []]), m.encode([8, 1, [b""]]), m.encode([28, "x" * 65]),
        b"\x92\x02" + b"\x91" * 100_000, b"\x92\x1c\xa1\xff",
    ):  # fmt: skip
        with pytest.raises(PeerViolation):
            m.decode(payload)
