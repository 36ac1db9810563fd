# SPDX-License-Identifier: Apache-2.0
"""The example of decision 9: the messages of a first sync, of a change, a reconnect, a repair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import define, field

from edge_twisted.documents.ids import id_value
from edge_twisted.documents.versions import NO_VERSION, VersionVector
from edge_twisted.mesh.ports.effects import Effect, Send
from edge_twisted.mesh.session.bases import BaseMemory
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import FrameReader
from edge_twisted.mesh.wire.items import Announced, Item, Left, Partial, Whole
from edge_twisted.mesh.wire.values import read_items, read_seen, read_vector, read_wholes
from edge_twisted.replication import knowledge
from tests.integration.mesh.test_sessions_over_stores import QUERY, Site, StoredEnd
from tests.support.mesh_pair import LinkPair

NAMES = {1: "A", 2: "B", 3: "C"}
#: Large enough for a delta of one field to be smaller than the document.
MOW = {
    "_id": "mow",
    "done": False,
    "where": "The lawn behind the long barn, down to the brook. " * 4,
}
#: Messages that say nothing about single documents.
UNSAID = (m.Presence, m.Met, m.Ready, m.KeepAlive)


@define(eq=False)
class Link:
    """A link on which one server subscribes to another, and a record of what they say."""

    sender: Site
    receiver: Site
    lines: list[str] = field(factory=list)
    pair: LinkPair = field(init=False)

    def __attrs_post_init__(self) -> None:
        sender = RecordedEnd.of(self.sender, self.receiver, ())
        receiver = RecordedEnd.of(self.receiver, self.sender, (QUERY,))
        for end, arrow in ((sender, "   {} --> {} "), (receiver, "   {} <-- {} ")):
            assert isinstance(end, RecordedEnd)
            end.arrow = arrow.format(_name(self.sender), _name(self.receiver))
            end.lines = self.lines
        self.pair = LinkPair(sender, receiver).start()

    def told(self, seconds: float) -> list[str]:
        """Return what was said since the last call, and for so many seconds from now on."""
        self.pair.wait(seconds)
        lines = list(self.lines)
        self.lines.clear()
        return lines

    def stored(self) -> Iterator[str]:
        """Yield what the receiver has stored about the sender's collection."""
        scope = self.receiver.replica.documents.scope(QUERY, {})
        sender = self.sender.replica.documents.replica
        with self.receiver.replica.store.snapshot() as snapshot:
            cursor = knowledge.cursor(snapshot, scope, sender)
            base = knowledge.stored_base(snapshot, scope, sender) or NO_VERSION
            known = knowledge.Knowledge(snapshot, "tasks").vector
        sent_to = self.sender.replica.documents.lsn
        who, whom = _name(self.receiver), _name(self.sender)
        yield f"   {whom}: lsn {sent_to}"
        has = f"cursor for {whom} {cursor}, base {_vector(base)}"
        yield f"   {who}: {has}, knowledge {_vector(known)}"


class RecordedEnd(StoredEnd):
    """An end that writes down what it sends."""

    arrow = ""
    lines: list[str]

    def take(self, effects: Iterable[Effect]) -> None:
        """See `End.take`."""
        effects = list(effects)
        for effect in effects:
            if isinstance(effect, Send):
                self.lines.extend(self._said(effect.data))
        super().take(effects)

    def _said(self, data: bytes) -> Iterator[str]:
        reader = self.__dict__.setdefault("reader", FrameReader())
        reader.feed(data)
        for payload in reader.messages():
            message = m.decode(payload)
            if message is not None and not isinstance(message, UNSAID):
                yield f"{self.arrow} {_in_words(message)}"


def text() -> str:
    """Return the example."""
    return "\n".join(line.rstrip() for line in _steps()) + "\n"


def _steps() -> Iterator[str]:
    a, b, c = Site(1), Site(2), Site(3)
    a.run("INSERT INTO tasks DOCUMENTS (:mow), ({'_id': 'sow'})", mow=MOW)
    yield "1. A first sync. A has two documents, which one statement inserted. B subscribes."
    link = Link(a, b)
    yield from link.told(1)
    yield from link.stored()
    yield "2. A change of one field. B has all that A knew, so A sends the field alone, as a delta."
    a.run("UPDATE tasks SET done = true WHERE _id = 'mow'")
    yield from link.told(1)
    yield from link.stored()
    yield "3. A reconnect, nothing new. The cursor says so; no document is looked at."
    link = Link(a, b)
    yield from link.told(1)
    yield from link.stored()
    yield "4. A change while the link is down, and A restarts. B has kept its base with the cursor."
    a.run("UPDATE tasks SET done = false WHERE _id = 'mow'")
    a.bases = BaseMemory()
    link = Link(a, b)
    yield from link.told(1)
    yield from link.stored()
    yield "5. A repair. C has what B has, a document of its own, no cursor for A. A has a new one."
    c.run("INSERT INTO tasks DOCUMENTS ({'_id': 'hoe'})")
    Link(b, c).told(2)
    a.run("INSERT INTO tasks DOCUMENTS ({'_id': 'rake'})")
    link = Link(a, c)
    yield from link.told(2)
    yield from link.stored()


def _name(site: Site) -> str:
    return NAMES[site.replica.store.replica.site[0]]


def _vector(vector: VersionVector) -> str:
    dots = sorted((NAMES[replica.site[0]], sequence) for replica, sequence in vector.items())
    return "{" + ", ".join(f"{name}:{sequence}" for name, sequence in dots) + "}"


def _id(id_key: bytes) -> str:
    return str(id_value(id_key))


def _item(item: Item) -> str:
    match item:
        case Whole():
            return f"{_id(item.id_key)} whole"
        case Partial():
            return f"{_id(item.id_key)} delta"
        case Announced():
            return f"{_id(item.id_key)} announced"
        case Left():
            return f"{_id(item.id_key)} left the scope"


def _in_words(message: m.Message) -> str:
    match message:
        case m.Hello():
            return "HELLO"
        case m.Subscribe():
            cursor = "no cursor" if message.position is None else f"cursor {message.position}"
            words = f"SUBSCRIBE {message.number}: {message.query}; {cursor}, holds {message.held}"
            return words if message.base is None else f"{words}, base {message.base.hex()[:4]}"
        case m.Batch():
            items = ", ".join(map(_item, read_items(message.items))) or "nothing"
            words = f"BATCH {message.number}: {items}; lsn {message.lsn}"
            if message.caught_up:
                words += ", caught up"
            if message.knowledge is not None:
                words += f", knows {_vector(read_vector(message.knowledge))}"
            return words
        case m.Ack():
            return f"ACK {message.number}: lsn {message.lsn}"
        case m.Base():
            return f"BASE {message.number}: {_vector(read_vector(message.base))}"
        case m.Stale():
            return f"STALE {message.number}"
        case m.RepairBegin():
            return f"REPAIR_BEGIN {message.number}"
        case m.RepairSummary():
            knows = _vector(read_vector(message.knowledge or []))
            return f"REPAIR_SUMMARY {message.number}: lsn {message.lsn}, knows {knows}"
        case m.RepairPull():
            return f"REPAIR_PULL {message.number}: digests of {len(message.digests)} document"
        case m.RepairItems():
            ids = ", ".join(f"{_id(each.id_key)} whole" for each in read_wholes(message.items))
            return f"REPAIR_ITEMS {message.number}: {ids}"
        case m.RepairHave():
            asked = read_seen(message.seen)
            seen = ", ".join(f"{_id(each.id_key)} {_vector(each.version)}" for each in asked)
            return f"REPAIR_HAVE {message.number}: {seen}"
        case m.RepairDone():
            return f"REPAIR_DONE {message.number}: lsn {message.lsn}"
        case _:
            name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(message).__name__).upper()
            return f"{name} {getattr(message, 'number', '')}"
