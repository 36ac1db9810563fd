# SPDX-License-Identifier: Apache-2.0
"""Values within messages: documents and version vectors, to and from their wire form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from edge_twisted.documents.versions import Dot, Replica, SiteId, Span, VersionVector
from edge_twisted.mesh.wire.items import Announced, Item, Left, Partial, Seen, Whole
from edge_twisted.mesh.wire.messages import (
    MAX_ASKED,
    MAX_ITEMS,
    Entry,
    Items,
    Unseen,
    WireSeen,
    WireWhole,
)

SomeItem = TypeVar("SomeItem", bound=Item)

#: Bytes of the items of one message; the rest of its 32 MiB is for everything around them.
MAX_ITEM_BYTES: Final = 30 << 20
#: Bytes of an entry of a vector, about: site, epoch, number.
ENTRY_BYTES: Final = 28
#: Bytes of one list of versions, about; far below the limit of messages without documents.
MAX_SEEN_BYTES: Final = 1 << 20
#: Most bytes that an item takes beside its own.
_ITEM_OVERHEAD: Final = 24


def size_of(item: Item) -> int:
    """Return an upper bound of the bytes that an item takes in a message."""
    size = len(item.id_key) + _ITEM_OVERHEAD
    if isinstance(item, Whole):
        return size + len(item.state) + (len(item.body) if item.body is not None else 0)
    if isinstance(item, Partial):
        return size + len(item.delta)
    return size


def pieces(items: Sequence[SomeItem], most_bytes: int = MAX_ITEM_BYTES) -> Iterator[list[SomeItem]]:
    """Yield the items in order, in runs that one message each can carry.

    A run has at most `most_bytes` and `MAX_ITEMS` items.  There is at least one run, which may be
    empty. Items that are too large for any message are left out; `withheld` yields those.
    """
    run: list[SomeItem] = []
    total = 0
    for item in items:
        size = size_of(item)
        if size > MAX_ITEM_BYTES:
            continue
        if run and (total + size > most_bytes or len(run) >= MAX_ITEMS):
            yield run
            run, total = [], 0
        run.append(item)
        total += size
    yield run


def withheld(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items that are too large for any message."""
    return (item for item in items if size_of(item) > MAX_ITEM_BYTES)


def write_items(items: Iterable[Item]) -> Items:
    """Sort items into the lists of a BATCH, one list for each kind of item."""
    written = Items([], [], [], [])
    for item in items:
        if isinstance(item, Whole):
            written.whole.append(item)
        elif isinstance(item, Partial):
            written.partial.append(item)
        elif isinstance(item, Announced):
            written.announced.append(item)
        else:
            written.left.append(item)
    return written


def read_items(written: Items) -> tuple[Item, ...]:
    """Return the items of a BATCH: whole documents, then partial, announced and left ones."""
    return (
        *map(Whole._make, written.whole),
        *map(Partial._make, written.partial),
        *map(Announced._make, written.announced),
        *map(Left._make, written.left),
    )


def read_wholes(written: Iterable[WireWhole]) -> tuple[Whole, ...]:
    """Return whole documents as the rest of the mesh holds them, from the form of messages."""
    return tuple(map(Whole._make, written))


def write_vector(vector: VersionVector) -> list[Entry]:
    """Return a version vector as messages carry it: (site, epoch, number), sorted by replica."""
    return [(replica.site, replica.epoch, vector[replica]) for replica in sorted(vector)]


def read_vector(written: Iterable[Entry]) -> VersionVector:
    """Return a version vector from entries (site, epoch, number), as messages carry them.

    Of several entries for one replica, the highest number counts.
    """
    found: dict[Replica, int] = {}
    for site, epoch, number in written:
        replica = Replica(SiteId(site), epoch)
        if number > found.get(replica, 0):
            found[replica] = number
    return VersionVector(found)


def news_of(vector: VersionVector, told: VersionVector) -> VersionVector:
    """Return the entries of `vector` whose numbers are higher than in `told`."""
    return VersionVector({r: n for r, n in vector.items() if n > told.seen(r)})


def write_seen(seen: Sequence[Seen]) -> Iterator[list[WireSeen]]:
    """Yield versions of documents as messages carry them, in lists that fit into a message."""
    chunk: list[WireSeen] = []
    size = 0
    for each in seen:
        vector = write_vector(each.version)
        unseen = _write_unseen(each.version)
        life: list[Entry] = [(*dot.replica, dot.sequence) for dot in each.life]
        chunk.append(WireSeen(each.id_key, vector, unseen, life))
        size += len(each.id_key) + ENTRY_BYTES * (len(vector) + len(unseen) + len(life))
        if len(chunk) == MAX_ASKED or size >= MAX_SEEN_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def read_seen(written: Iterable[WireSeen]) -> tuple[Seen, ...]:
    """Return versions of documents in the order of `written`, as messages carry them."""
    return tuple(Seen(each.id_key, _read_version(each), _read_life(each)) for each in written)


def _read_life(written: WireSeen) -> tuple[Dot, ...]:
    return tuple(Dot(Replica(SiteId(site), epoch), n) for site, epoch, n in written.life)


def _write_unseen(version: VersionVector) -> list[Unseen]:
    return [
        (replica.site, replica.epoch, first, last)
        for replica, spans in sorted(version.exceptions.items())
        for first, last in spans
    ]


def _read_version(written: WireSeen) -> VersionVector:
    version = read_vector(written.vector)
    if not written.unseen:
        return version
    unseen: dict[Replica, list[Span]] = {}
    for site, epoch, first, last in written.unseen:
        unseen.setdefault(Replica(SiteId(site), epoch), []).append((first, last))
    return VersionVector(version, {replica: tuple(spans) for replica, spans in unseen.items()})
