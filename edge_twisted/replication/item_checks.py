# SPDX-License-Identifier: Apache-2.0
"""Checks of the documents in a batch from a peer: nothing is merged before it has passed them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import starmap
from typing import Any, Final, NamedTuple

from attrs import frozen

from edge_twisted.documents.attachments import tokens_in
from edge_twisted.documents.clock import BEGINNING, Timestamp
from edge_twisted.documents.deltas import Delta, decode_delta
from edge_twisted.documents.encoding import CorruptState, decode, encode
from edge_twisted.documents.headers import INITIAL_EPOCH, Header, read_header
from edge_twisted.documents.ids import DocumentId, InvalidDocumentId
from edge_twisted.documents.json_text import InvalidJson, from_text, to_text
from edge_twisted.documents.state import DocumentState
from edge_twisted.documents.values import Value, sort_key
from edge_twisted.documents.versions import Dot, Replica
from edge_twisted.mesh.wire.items import Item, Partial, Whole
from edge_twisted.records.documents import ID
from edge_twisted.replication.errors import CorruptItem
from edge_twisted.replication.state_checks import check_state

#: The highest value that the hard limit for documents can have; local writes keep to it as well.
MAX_BODY_BYTES: Final = 256 * 2**20
#: An id key is about as long as its id, and HTTP takes no longer ids.
MAX_ID_KEY_BYTES: Final = 64 * 1024


class CheckedDocument(NamedTuple):
    """The content of a whole document that has passed the checks; `value` None: it is deleted."""

    value: dict[str, Value] | None
    attachments: Collection[str]


@frozen
class IncomingBatch:
    """The documents of one batch, in order, and the newest writes in them."""

    #: Each item with its header; None for those without a state, `Announced` and `Left`.
    items: tuple[tuple[Item, Header | None], ...]
    newest: Timestamp
    #: replica -> the highest sequence in any version; without INITIAL writes.
    heard: dict[Replica, int]

    @classmethod
    def of(cls, collection: str, items: tuple[Item, ...]) -> IncomingBatch:
        """
        Read the headers of the items of a batch for one collection; return the batch.

        :raises CorruptItem: a header is damaged, or a document comes twice.
        """
        newest = BEGINNING
        heard: dict[Replica, int] = {}
        found: list[tuple[Item, Header | None]] = []
        for item in items:
            header = None
            if isinstance(item, Whole | Partial):
                header = _header(collection, item)
                if header.newest > newest:
                    newest = header.newest
                for replica, number in header.version.items():
                    if replica.epoch != INITIAL_EPOCH and number > heard.get(replica, 0):
                        heard[replica] = number
            found.append((item, header))
        _check_once(collection, items)
        return cls(tuple(found), newest, heard)


def _header(collection: str, item: Whole | Partial) -> Header:
    id_key = item.id_key
    if not 0 < len(id_key) <= MAX_ID_KEY_BYTES:
        raise CorruptItem(collection, id_key, "the key of an id cannot be so long")
    try:
        if isinstance(item, Whole):
            return read_header(item.state)
        header = read_header(item.delta)
        if header.write is not None:
            raise CorruptState("a state where a delta belongs")
        return header
    except CorruptState as error:
        raise CorruptItem(collection, id_key, error.reason) from None


def _check_once(collection: str, items: tuple[Item, ...]) -> None:
    seen: set[bytes] = set()
    for item in items:
        if item.id_key in seen:
            raise CorruptItem(collection, item.id_key, "it comes twice in one batch")
        seen.add(item.id_key)


def check_fresh(collection: str, item: Whole) -> CheckedDocument:
    """
    Check a document that was written once, whose state is the stamp of that write alone.

    :raises CorruptItem: the text is not what a server stores under that id.
    """
    if item.body is None:
        raise CorruptItem(
            collection, item.id_key, "a document that was written once cannot be deleted"
        )
    value = _value(collection, item.id_key, item.body)
    attachments = tokens_in(value) if b'"metadata":' in item.body else ()
    return CheckedDocument(value, tuple(dict.fromkeys(attachments)))


def check_full(collection: str, item: Whole) -> tuple[DocumentState, CheckedDocument]:
    """
    Check and decode any whole document; return its merge state and its content.

    :raises CorruptItem: state and text do not belong together, or no server writes them so.
    """
    value = None if item.body is None else _value(collection, item.id_key, item.body)
    fields = None
    if value is not None:
        fields = {name: each for name, each in value.items() if name != ID}
    try:
        state = decode(item.state, fields)
        check_state(state, state.version)
        # The bytes must be those that this server would write, or replicas would differ in bytes.
        if state.fields != fields or encode(state) != item.state:
            raise ValueError("state and text are of different documents")
    except (CorruptState, RecursionError, ValueError, TypeError, LookupError) as error:
        raise CorruptItem(collection, item.id_key, str(error)) from None
    attachments: Iterator[str] = iter(())
    if item.body is not None and b'"metadata":' in item.body:
        attachments = tokens_in(value)
    return state, CheckedDocument(value, tuple(dict.fromkeys(attachments)))


def check_delta(collection: str, item: Partial) -> Delta:
    """
    Check and decode a delta of a document; return its content.

    :raises CorruptItem: the bytes are no delta, or one that builds on unknown writes.
    """
    try:
        found = decode_delta(item.delta)
        version = found.changes.version
        builds_on = [*found.omitted_dots, *starmap(Dot, found.since.items())]
        if not all(map(version.covers, builds_on)):
            raise ValueError("it builds on more than its version")
        check_state(found.changes, found.changes.version)
        return found
    except (CorruptState, RecursionError, ValueError, TypeError, LookupError) as error:
        raise CorruptItem(collection, item.id_key, str(error)) from None


def _value(collection: str, id_key: bytes, body: bytes) -> dict[str, Value]:
    """Return the document of a text that is exactly as a server writes it."""
    if len(body) > MAX_BODY_BYTES:
        raise CorruptItem(collection, id_key, f"more than {MAX_BODY_BYTES} bytes")
    try:
        value: Any = from_text(body)
        if not isinstance(value, dict) or ID not in value:
            raise ValueError("no document with an id")
        id_ = value[ID]
        key = sort_key(id_) if type(id_) is str else DocumentId.of(id_).key
        if key != id_key:
            raise ValueError("its id is another")
        # Fails as well if it is nested too deep to be written.
        if to_text(value) != body:
            raise ValueError("its text is not as a server writes it")
    except (InvalidJson, InvalidDocumentId, RecursionError, ValueError, TypeError) as error:
        raise CorruptItem(collection, id_key, str(error)) from None
    return value
