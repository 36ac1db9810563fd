# SPDX-License-Identifier: Apache-2.0
"""Presence records on the wire: msgpack arrays."""

from __future__ import annotations

from typing import Final

import msgspec

from edge_twisted.mesh.presence.graph import (
    MAX_CONNECTIONS,
    MAX_LABEL,
    MAX_NAME,
    Claim,
    LinkKind,
    PresenceRecord,
    RecordVersion,
    is_sound,
)
from edge_twisted.mesh.trust.peer_key import PeerKey

#: The version of the format; records of another version are neither read nor passed on.
FORMAT: Final = 1
#: The largest record; one with `MAX_CONNECTIONS` links has about 50 KiB.
MAX_RECORD_BYTES: Final = 64 * 1024


class _Wire(msgspec.Struct, array_like=True, gc=False):
    """The array, in the order of its elements; later formats may append more."""

    form: int
    peer: str
    boot: int
    counter: int
    device_name: str
    os: str
    version: str
    claims: list[tuple[str, LinkKind]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(record: PresenceRecord) -> bytes:
    """Encode a record; names and links beyond their limits are cut off."""
    wire = _Wire(
        form=FORMAT,
        peer=record.peer,
        boot=record.stamp.boot,
        counter=record.stamp.counter,
        device_name=record.device_name[:MAX_NAME],
        os=record.os[:MAX_LABEL],
        version=record.version[:MAX_LABEL],
        claims=[(claim.peer, claim.kind) for claim in record.claims[:MAX_CONNECTIONS]],
    )
    return _encoder.encode(wire)


def decode(data: bytes) -> PresenceRecord | None:
    """Decode a record; None if the bytes are no record of this format within its limits."""
    if len(data) > MAX_RECORD_BYTES:
        return None
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if wire.form != FORMAT:
        return None
    record = PresenceRecord(
        peer=PeerKey(wire.peer),
        stamp=RecordVersion(wire.boot, wire.counter),
        device_name=wire.device_name,
        os=wire.os,
        version=wire.version,
        claims=tuple(Claim(PeerKey(peer), kind) for peer, kind in wire.claims),
    )
    return record if is_sound(record) else None
