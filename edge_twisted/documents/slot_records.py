# SPDX-License-Identifier: Apache-2.0
"""
Slot records: the written form of slots, with replicas and stamps in shared tables.

A record is ``[path, variant, entries, counter]``.  An entry is ``[stamp]`` for a removal,
``[stamp, value]`` for a value, and ``[stamp, nil, true]`` for the value that the document shows.  A
counter is nil or ``[restart, start, [[replica, sequence, total], ...]]``; a share that is not its
replica's first has a fourth number, the sequence of the write that began it.  Stamps and replicas
are positions in the tables; -1 is a missing restart.  A version has, for each replica in the table,
its number (0 if there is none), or an array of the number and its exceptions ``[first, last]``.
Everything is sorted, so that equal states have equal bytes.

Example: ``[["shelf", "row"], 0, [[2, 9]], nil]`` is the register ``shelf.row`` with one entry: the
write at position 2 of the stamps, with the value 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from attrs import define, field

from edge_twisted.documents.clock import Timestamp
from edge_twisted.documents.counters import CounterState, Share
from edge_twisted.documents.entries import Entries, Entry, Stamp
from edge_twisted.documents.nodes import EMPTY, PathNode, Variant
from edge_twisted.documents.operations import Path
from edge_twisted.documents.values import MISSING, Operand
from edge_twisted.documents.versions import Dot, Replica, SiteId, Span, VersionVector

#: A slot that was read: its path, variant and entries, and the state of a counter.
Slot = tuple[Path, Variant, Entries, CounterState | None]
#: Names in a path; above `writes.MAX_DEPTH`, and low enough for recursion over the tree.
_MAX_PATH: Final = 256

Record = tuple[Path, Variant, "list[Any]", "list[Any] | None"]


@define
class Tables:
    """The tables of replicas and stamps to which records refer by position."""

    replicas: list[Replica]
    stamps: list[Stamp]
    _replica_at: dict[Replica, int] = field(init=False)
    _stamp_at: dict[Stamp, int] = field(init=False)
    #: Filled when the first counter is read.
    _first_shares: list[Dot] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._replica_at = {replica: at for at, replica in enumerate(self.replicas)}
        self._stamp_at = {stamp: at for at, stamp in enumerate(self.stamps)}

    @classmethod
    def of(cls, version: VersionVector, stamps: Iterable[Stamp]) -> Tables:
        """Return the tables, sorted, of the replicas in a version and in stamps, and of stamps."""
        unique = sorted(set(stamps))
        replicas = sorted({*version, *(stamp.replica for stamp in unique)})
        return cls(replicas, unique)

    def replica(self, replica: Replica) -> int:
        """
        Return the position of a replica in the table.

        :raises KeyError: the table lacks the replica: a bug in the caller.
        """
        return self._replica_at[replica]

    def first_shares(self) -> list[Dot]:
        """Return the key of each replica's first counter share, in the order of the replicas."""
        if not self._first_shares:
            self._first_shares = [Dot(replica, 0) for replica in self.replicas]
        return self._first_shares

    def stamp(self, stamp: Stamp | None) -> int:
        """
        Return the position of a stamp in the table; -1 for None.

        :raises KeyError: the table lacks the stamp: a bug in the caller.
        """
        return -1 if stamp is None else self._stamp_at[stamp]

    def written(self, version: VersionVector) -> list[Any]:
        """
        Return the tables and a version as three lists for msgpack: replicas, stamps, version.

        A replica is ``[site, epoch]``, a stamp ``[position of its replica, sequence, timestamp]``.
        The version has an item for each replica, as `read_seen` reads it.
        """
        return [
            [[replica.site, replica.epoch] for replica in self.replicas],
            [[self.replica(s.replica), s.sequence, s.timestamp] for s in self.stamps],
            [_write_seen(version, replica) for replica in self.replicas],
        ]

    @classmethod
    def read(cls, replicas: Any, stamps: Any, seen: Any) -> tuple[Tables, VersionVector]:
        """
        Return the tables and the version from the three lists that `written` returned.

        :raises ValueError, TypeError, IndexError: the lists are malformed; report `CorruptState`.
        """
        known = [Replica(SiteId(site), epoch) for site, epoch in replicas]
        version = read_seen(known, seen)
        marks = [Stamp(Timestamp(t), known[at], sequence) for at, sequence, t in stamps]
        return cls(known, marks), version


def _write_seen(version: VersionVector, replica: Replica) -> int | list[Any]:
    number = version.seen(replica)
    spans = version.exceptions.get(replica)
    return number if spans is None else [number, *spans]


def read_seen(replicas: Sequence[Replica], written: Any) -> VersionVector:
    """
    Return a version from its written form, a list with an item for each of `replicas`.

    An item is the number of the last write seen, 0 for none, or, with exceptions, a list of that
    number and then a pair ``[first, last]`` for each exception.

    :raises ValueError, TypeError: the list is malformed; report `CorruptState`.
    """
    seen: dict[Replica, int] = {}
    exceptions: dict[Replica, tuple[Span, ...]] = {}
    for replica, number in zip(replicas, written, strict=True):
        if type(number) is list:
            number, *spans = number
            exceptions[replica] = tuple((first, last) for first, last in spans)
        if number:
            seen[replica] = number
    return VersionVector(seen, exceptions)


def stamps_of(node: PathNode) -> Iterable[Stamp]:
    """Yield the stamps in the slots and counters of one node."""
    for entries in node.slots.values():
        for entry in entries:
            yield entry.stamp
    for counter in node.counters.values():
        if counter.restart is not None:
            yield counter.restart


def write_record(
    tables: Tables, path: Path, node: PathNode, variant: Variant, shown: Stamp | None = None
) -> list[Any]:
    """
    Return the record ``[path, variant, entries, counter]`` of a slot, ready for msgpack.

    The module's docstring has the form of the parts.

    :param shown: the stamp of the entry whose value the document shows; the value is left out.
    """
    entries = [_write_entry(tables, entry, shown) for entry in node.slots.get(variant, ())]
    counter = node.counters.get(variant)
    return [list(path), int(variant), entries, None if counter is None else _count(tables, counter)]


def _write_entry(tables: Tables, entry: Entry, shown: Stamp | None) -> list[Any]:
    at = tables.stamp(entry.stamp)
    if entry.value is MISSING:
        return [at]
    if entry.stamp == shown:
        return [at, None, True]
    return [at, entry.value]


def _count(tables: Tables, counter: CounterState) -> list[Any]:
    shares = [
        [tables.replica(replica), share.sequence, share.total, began]
        if began
        else [tables.replica(replica), share.sequence, share.total]
        for (replica, began), share in sorted(counter.shares.items())
    ]
    return [tables.stamp(counter.restart), counter.start, shares]


def read_entries(
    tables: Tables, variant: Variant, written: Sequence[Any], shown: Operand
) -> Entries:
    """
    Return the entries from the third part of a record, a list that `write_record` made.

    :param shown: the value of the entry that was written without its value.
    :raises ValueError, TypeError, IndexError: the list is malformed; report `CorruptState`.
    """
    found: list[Entry] = []
    for item in written:
        value: Operand = MISSING
        if len(item) == 2:
            value = item[1]
        elif len(item) == 3:
            held = variant in (Variant.REGISTER, Variant.ATTACHMENT)
            value = shown if held else True
        found.append(Entry(tables.stamps[item[0]], value))
    return tuple(found)


def read_count(tables: Tables, written: Any) -> CounterState:
    """
    Return the counter from the fourth part of a record, a list that `write_record` made.

    :raises ValueError, TypeError, IndexError: a share comes twice, or the list is malformed; report
        `CorruptState`.
    """
    restart, start, written_shares = written
    shares: dict[Dot, Share] = {}
    firsts = tables.first_shares()
    for share in written_shares:
        if len(share) == 3:
            at, sequence, total = share
            key = firsts[at]
        else:
            at, sequence, total, began = share
            if began <= 0:
                raise ValueError("a share that says it is the first")
            key = Dot(tables.replicas[at], began)
        shares[key] = Share(sequence, total)
    if len(shares) < len(written_shares):
        raise ValueError("a share that is there twice")
    return CounterState(None if restart < 0 else tables.stamps[restart], start, shares)


def with_slots(root: PathNode, slots: Sequence[Slot]) -> PathNode:
    """
    Return the tree below `root` with these slots set.

    The slots below one node are set together, because each separate change would copy the node.

    :raises ValueError: a path has more than `_MAX_PATH` names; report `CorruptState`.
    """
    if any(len(path) > _MAX_PATH for path, _, _, _ in slots):
        raise ValueError(f"a path has more than {_MAX_PATH} names")
    return _with_slots(root, slots, 0)


def _with_slots(node: PathNode, slots: Sequence[Slot], depth: int) -> PathNode:
    entries, counters = dict(node.slots), dict(node.counters)
    below: dict[str, list[Slot]] = {}
    for slot in slots:
        path, variant, held, counter = slot
        if len(path) > depth:
            below.setdefault(path[depth], []).append(slot)
            continue
        if held:
            entries[variant] = held
        if counter is not None:
            counters[variant] = counter
    children = dict(node.children)
    for name, group in below.items():
        children[name] = _with_slots(children.get(name, EMPTY), group, depth + 1)
    return PathNode(entries, counters, children)
