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


#: What is put in front of a record before it is signed: see `trust.signatures`.
SIGNED_AS: Final = b"edge-twisted mesh presence v1\x00"


class _Statement(msgspec.Struct, array_like=True, gc=False):
    """What a peer says of itself, as an array in the order of its elements: this is signed."""

    form: int
    peer: str
    boot: int
    counter: int
    device_name: str
    os: str
    version: str
    claims: list[tuple[str, LinkKind]]


class _Signed(_Statement, array_like=True, gc=False):
    """A record: the statement and, unless a server of version 1 made it, the signature."""

    signature: bytes = b""


class _Form(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a record of any format."""

    form: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Signed)
_form_decoder = msgspec.msgpack.Decoder(_Form)


def signed_bytes(record: PresenceRecord) -> bytes:
    """Return the bytes that a peer signs of its record; equal statements give equal bytes."""
    return SIGNED_AS + _encoder.encode(_statement(record))


def encode(record: PresenceRecord) -> bytes:
    """Return the bytes of a record, signature included; too long names and links are cut off."""
    statement = _statement(record)
    if not record.signature:
        return _encoder.encode(statement)
    return _encoder.encode((*msgspec.structs.astuple(statement), record.signature))


def _statement(record: PresenceRecord) -> _Statement:
    return _Statement(
        form=FORMAT,
        peer=record.peer,
        boot=record.stamp.boot,
        counter=record.stamp.counter,
        device_name=record.device_name[:MAX_NAME],
        os=record.os[:MAX_LABEL],
        version=record.version[:MAX_LABEL],
        claims=[(claim.peer, claim.kind) for claim in record.claims[:MAX_CONNECTIONS]],
    )


def is_of_another_format(data: bytes) -> bool:
    """Return whether the bytes are a record of a later format: no fault, and no use here."""
    try:
        return _form_decoder.decode(data).form != FORMAT
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def decode(data: bytes) -> PresenceRecord | None:
    """Return the record that the bytes encode; None if they are none of this format and limits."""
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
        signature=wire.signature,
    )
    return record if is_sound(record) else None
