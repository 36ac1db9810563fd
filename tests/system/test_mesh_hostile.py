# SPDX-License-Identifier: Apache-2.0
"""
Members of the mesh that lie, break the protocol and flood: only their own links end.

A real daemon is told things by a program that knows the secret; a second daemon is its honest
neighbour all the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attrs import frozen

from edge_twisted.documents.clock import MAX_DECLARED_AHEAD_MS
from edge_twisted.mesh.presence.codec import encode as encode_record
from edge_twisted.mesh.presence.graph import PresenceRecord, RecordVersion
from edge_twisted.mesh.trust.peer_key import PeerKey
from edge_twisted.mesh.trust.signatures import SIGNATURE_BYTES
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import DEFLATED, MAX_FRAME_BYTES, MORE
from edge_twisted.replication.epoch_renewal import MOST_RENEWALS
from tests.system.mesh_flooder import FLOODS, flooder
from tests.system.mesh_member import PREY, Member, now_ms, written_once
from tests.system.mesh_site import MESH_TOKEN, Site, eventually, site, started

pytestmark = [pytest.mark.system, pytest.mark.slow]

VIOLATION = "protocol_violation"
ROWS = "SELECT * FROM rows"
HOUR_MS = 3_600_000
#: What a server may need for the worst that a member can send at a time: a message of 32 MiB.
GROWTH_BYTES = 300 << 20


@frozen(kw_only=True)
class Scene:
    """The server that is attacked, and its honest neighbour."""

    victim: Site
    witness: Site
    folder: Path

    def member(self) -> Member:
        return Member(self.victim.mesh_port, MESH_TOKEN, self.folder)

    def check_unharmed(self, number: int) -> None:
        """The honest link still carries documents; of the others' nothing is here."""
        self.check_linked(number)
        assert self.victim.items("SELECT _id FROM prey") == []

    def check_linked(self, number: int) -> None:
        """The honest link still carries documents."""
        id_ = f"honest {number}"
        self.witness.run("INSERT INTO rows DOCUMENTS (:d)", {"d": {"_id": id_}})
        query = "SELECT _id FROM rows WHERE _id = :id"
        eventually("it came over the honest link", lambda: self.victim.items(query, {"id": id_}))

    def logged(self, words: str) -> bool:
        """Whether the attacked server's log has a line with these words."""
        return any(words in line for line in self.victim.daemon.lines)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the attacked server ever had."""
        status = Path(f"/proc/{self.victim.daemon.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    def partings(self) -> Counter[str]:
        """How links of the attacked server ended, by name of the reason."""
        lines = self.victim.audit()
        return Counter(str(e["status"]) for e in lines if e["event"] == "peer_disconnected")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile")
    victim = site("victim", folder / "victim", [], [PREY, ROWS])
    witness = site("witness", folder / "witness", [victim.mesh_port], [ROWS])
    with started(victim, witness):
        eventually("they meet", lambda: victim.sees({"witness"}) and witness.sees({"victim"}))
        yield Scene(victim=victim, witness=witness, folder=folder)


# -- who does not belong

GREETINGS: list[tuple[dict[str, Any], str]] = [
    ({"versions": [99]}, "protocol_version"),
    ({"versions": []}, "protocol_version"),
    ({"database": b"x" * 32}, "db_id_mismatch"),
    ({"clock": (now_ms() + HOUR_MS) << 16}, "clock_skew"),
    ({"clock": 0}, "clock_skew"),
    ({"peer_key": "pk" + "A" * 44}, VIOLATION),
]


def test_greetings_that_do_not_fit_are_refused_by_name(scene: Scene) -> None:
    for changes, reason in GREETINGS:
        member = scene.member()
        member.hello(**changes)
        assert member.end() == reason, changes
    member = scene.member()
    member.hello()
    theirs = member.wait_for(m.Hello)
    member.close()
    member = scene.member()
    member.hello(site=theirs.site, epoch=theirs.epoch)
    assert member.end() == "duplicate_peer"
    for reason in {reason for _, reason in GREETINGS} | {"duplicate_peer"}:
        eventually(f"{reason} is logged", lambda r=reason: scene.logged(f"refused by us: {r}"))  # type: ignore[misc]
    scene.check_unharmed(1)


# -- bytes


def _frame(flags: int, body: bytes) -> bytes:
    return (flags << 24 | len(body)).to_bytes(4, "big") + body


def _bomb(member: Member) -> bytes:
    """Return a message of twice what is allowed."""
    zeros = member.writer._deflate.compress(b"\0" * (64 << 20))
    pieces = [zeros[at : at + MAX_FRAME_BYTES] for at in range(0, len(zeros), MAX_FRAME_BYTES)]
    return b"".join(_frame(DEFLATED | MORE, piece) for piece in pieces)


BYTES: list[Callable[[Member], bytes]] = [
    lambda _: b"\xff" * 5000,
    lambda _: _frame(4, b"unknown flags"),
    lambda _: (MAX_FRAME_BYTES + 1).to_bytes(4, "big") + b"x" * 100,
    lambda _: _frame(0, b"no message"),
    lambda _: _frame(0, b""),
    lambda _: _frame(0, msgspec.msgpack.encode([250])),
    lambda _: _frame(0, b"\x91" * 100_000),
    lambda _: _frame(DEFLATED, b"no deflate stream"),
    lambda _: _frame(MORE, b"a") + _frame(DEFLATED, b"b"),
    lambda _: _frame(MORE, b"x" * MAX_FRAME_BYTES) * 33,
    _bomb,
]


def test_bytes_that_are_no_messages_end_their_link(scene: Scene) -> None:
    before, refused = scene.peak_bytes, scene.partings()[VIOLATION]
    for make in BYTES:
        member = scene.member()
        member.meet()
        member.raw(make(member))
        # What is still on its way when the server closes may cost its last words.
        assert member.end() in (VIOLATION, ""), make
    for cut in (3, 4, 50):
        member = scene.member()
        member.meet()
        whole = member.writer.message(m.encode(m.Presence([b"x" * 100])), deflated=False)
        member.raw(whole[:cut])
        member.close()
    eventually("all are counted", lambda: scene.partings()[VIOLATION] - refused == len(BYTES))
    scene.check_unharmed(2)
    assert scene.peak_bytes - before < GROWTH_BYTES


# -- messages


def _greets_again(member: Member, _: int) -> None:
    member.hello()


def _goes_back(member: Member, number: int) -> None:
    member.send(member.batch(number, lsn=7))
    assert member.wait_for(m.Ack).lsn == 7
    member.send(member.batch(number, lsn=7))
    assert member.wait_for(m.Ack).lsn == 7, "what comes again is nothing new"
    member.send(member.batch(number, member.document("back"), lsn=6))


def _twice(member: Member, number: int) -> None:
    one = member.document("twice")
    member.send(member.batch(number, one, one))


def _with(**changes: Any) -> Callable[[Member, int], None]:
    """Return the sending of a good document beside a bad one."""

    def send(member: Member, number: int) -> None:
        bad = member.document("bad")._replace(**changes)
        member.send(member.batch(number, member.document("good"), bad))

    return send


def _unheard(message: m.Message) -> Callable[[Member, int], None]:
    return lambda member, _: member.send(message)


def _partial(member: Member, number: int) -> None:
    items = m.Items(whole=[member.document("good")], partial=[(b"\x40id\x00\x01", b"no delta")])
    member.send(m.Batch(number, items, 1, False))


def _beyond_its_version(member: Member, number: int) -> None:
    state = msgspec.msgpack.encode([[[member.site, 1]], [[0, 9, now_ms() << 16]], [1], [], [], []])
    _with(state=state)(member, number)


def _in_the_future(member: Member, number: int) -> None:
    late = member.document("late", ahead_ms=HOUR_MS)
    member.send(member.batch(number, member.document("good"), late))


def _over_the_window(member: Member, number: int) -> None:
    text = "x" * 200_000
    batches = [member.batch(number, member.document(f"m{n}", t=text)) for n in range(60)]
    member.raw(b"".join(member.writer.message(m.encode(each)) for each in batches))


MESSAGES: list[tuple[Callable[[Member, int], None], str]] = [
    (_greets_again, VIOLATION),
    (_goes_back, VIOLATION),
    (_twice, VIOLATION),
    (_with(state=b"\xc1"), VIOLATION),
    (_with(state=b""), VIOLATION),
    (_with(state=b"\x91" * 5000), VIOLATION),
    (_with(id_key=b"\x40other\x00\x01"), VIOLATION),
    (_with(body=b'{"_id":"bad"'), VIOLATION),
    (_with(body=b'{"_id": "bad"}'), VIOLATION),
    (_with(body=b"[" * 100_000), VIOLATION),
    (_with(body=None), VIOLATION),
    (_with(state=written_once(b"short", 1, 1, 1)), VIOLATION),
    (_with(state=written_once(b"s" * 16, 1, 2**63, 1)), VIOLATION),
    (_partial, VIOLATION),
    (_beyond_its_version, VIOLATION),
    (_in_the_future, "clock_skew"),
    (_unheard(m.Batch(99, m.Items(), 1, True)), VIOLATION),
    (_unheard(m.Ack(99, 1)), VIOLATION),
    (_unheard(m.RepairSummary(1, 1, b"x", None)), VIOLATION),
    (_unheard(m.RepairDone(1, 1)), VIOLATION),
]  # fmt: skip


def test_messages_that_lie_end_their_link_and_nothing_of_them_is_applied(scene: Scene) -> None:
    for act, reason in MESSAGES:
        member = scene.member()
        subscription = member.meet()
        act(member, subscription.number)
        assert member.end() == reason, act
    scene.check_unharmed(3)


# -- what version 2 added


def _base_never_had(member: Member, _: int) -> None:
    member.send(m.Subscribe(1, ROWS, b"\x80", 0, 0, b"no base."))
    member.send(m.Ready())
    assert member.wait_for(m.BaseWanted).number == 1
    member.send(m.Base(1, [(member.site, 1, 1)]))


def _for_two_collections(member: Member, number: int) -> None:
    """The server has two subscriptions, which come in any order."""
    _for_others(3 - number)(member, number)


def _for_others(*others: int, itself: bool = False) -> Callable[[Member, int], None]:
    def send(member: Member, number: int) -> None:
        batch = member.batch(number, member.document("shared"))
        member.send(msgspec.structs.replace(batch, others=[*others, *[number] * itself]))

    return send


def _presence(peer: str, signature: bytes) -> Callable[[Member, int], None]:
    """Return the telling of a newer record of "me", or of the server that hears it."""

    def send(member: Member, _: int) -> None:
        key = member.identity.peer_key if peer == "me" else PeerKey(member.theirs.peer_key)
        record = PresenceRecord(
            peer=key,
            stamp=RecordVersion(1 << 48, 1),
            device_name="elsewhere",
            os="",
            version="",
            signature=signature,
        )
        member.send(m.Presence([encode_record(record)]))

    return send


def _clock_of(ahead_ms: int, wall_ms: int = 0) -> Callable[[Member, int], None]:
    """Return the sending of a document that is as far ahead as its sender declares."""

    def send(member: Member, number: int) -> None:
        declared = min((now_ms() + ahead_ms + HOUR_MS) << 16, 2**63 - 1)
        member.send(m.Clock((now_ms() + wall_ms) << 16, declared))
        late = member.document("late", ahead_ms=ahead_ms)
        member.send(member.batch(number, member.document("good"), late))

    return send


SINCE_VERSION_2: list[tuple[Callable[[Member, int], None], str]] = [
    (_base_never_had, VIOLATION),
    (_unheard(m.Base(1, [])), VIOLATION),
    (_unheard(m.BaseWanted(99)), VIOLATION),
    (_for_others(99), VIOLATION),
    (_for_others(itself=True), VIOLATION),
    (_for_two_collections, VIOLATION),
    (_presence("hearer", b"s" * SIGNATURE_BYTES), VIOLATION),
    (_presence("hearer", b""), VIOLATION),
    (_presence("me", b""), VIOLATION),
    (_clock_of(MAX_DECLARED_AHEAD_MS + 24 * HOUR_MS), "clock_skew"),
    (_clock_of(2**46), "clock_skew"),
    (_clock_of(0, wall_ms=HOUR_MS), "clock_skew"),
    (_clock_of(HOUR_MS, wall_ms=-HOUR_MS), "clock_skew"),
]


def test_lies_in_what_version_2_added_end_their_link_by_name(scene: Scene) -> None:
    scene.check_linked(5)
    for act, reason in SINCE_VERSION_2:
        member = scene.member()
        subscription = member.meet(versions=[1, 2])
        act(member, subscription.number)
        assert member.end() == reason, act
    scene.check_unharmed(6)


def test_a_flood_costs_little_memory_and_others_are_served(scene: Scene) -> None:
    before = scene.peak_bytes
    member = scene.member()
    number = member.meet().number
    vector = [(n.to_bytes(16, "big"), 1, 1) for n in range(20_000)]
    gone = m.encode(m.Gone(number, False, [m.WireSeen(b"\x40id\x00\x01", vector)] * 2))
    for _ in range(20):
        member.raw(member.writer.message(gone))
    for n in range(300):
        member.send(m.Subscribe(n + 1, f"SELECT * FROM rows WHERE n = {n}", b"\x80", None, 1))
        member.send(m.RepairBegin(n + 1, b"s" * 16))
        if n >= 100:
            member.send(m.Unsubscribe(n - 99))
    scene.check_unharmed(4)
    member.close()
    assert scene.peak_bytes - before < GROWTH_BYTES


@pytest.mark.parametrize("kind", [each for each in FLOODS if each != "lone claims"])
def test_a_flood_ends_its_link_by_name_and_others_go_on(scene: Scene, kind: str) -> None:
    before = scene.partings()
    with flooder(scene.victim.mesh_port, MESH_TOKEN, scene.folder / "flooder", kind):
        ended = VIOLATION if kind == "claims" else "rate_exceeded"
        eventually("the flood is ended", lambda: scene.partings()[ended] > before[ended])
        scene.check_unharmed(50 + list(FLOODS).index(kind))


def test_more_than_the_window_ends_the_link(scene: Scene) -> None:
    refused = scene.partings()[VIOLATION]
    member = scene.member()
    number = member.meet().number
    _over_the_window(member, number)
    # What is still on its way when the server closes may cost its last words.
    assert member.end() in (VIOLATION, "")
    eventually("it is refused", lambda: scene.partings()[VIOLATION] > refused)


def test_who_claims_writes_of_ours_makes_us_another_and_loses_us_nothing(scene: Scene) -> None:
    victim, witness = scene.victim, scene.witness
    victim.run("INSERT INTO rows DOCUMENTS ({'_id': 'honest before'})")
    for name in ("once", "twice"):
        member = scene.member()
        number = member.meet().number
        theirs = member.theirs
        state = written_once(theirs.site, theirs.epoch, 1 << 40, now_ms())
        lie = member.document(name)._replace(state=state)
        # Where there are documents already the server repairs first, and takes no batch.
        member.send(m.Offer(number, [lie]))
        assert member.end() == "goodbye", "all are told to greet anew"
        victim.run("INSERT INTO rows DOCUMENTS (:d)", {"d": {"_id": f"honest after {name}"}})
    query = "SELECT _id FROM rows ORDER BY _id"
    eventually(
        "both have all",
        lambda: victim.items(query) == witness.items(query) and len(victim.items(query)) > 4,
    )
    ids = {each["_id"] for each in witness.items(query)}
    assert ids >= {"honest before", "honest after once", "honest after twice"}


def test_claims_in_a_loop_take_few_epochs_and_then_end_their_own_links_alone(
    scene: Scene,
) -> None:
    """Eight epochs in an hour, of which the test before took two."""
    with flooder(scene.victim.mesh_port, MESH_TOKEN, scene.folder / "flooder", "lone claims"):
        ended = "implausible_claim"
        eventually("claims are not believed any more", lambda: scene.partings()[ended])
    scene.check_linked(60)
    assert scene.logged("refused by us: implausible_claim")


def test_the_honest_link_never_ended_but_for_the_new_greetings(scene: Scene) -> None:
    ends = [
        each["status"] for each in scene.witness.audit() if each["event"] == "peer_disconnected"
    ]
    assert set(ends) <= {"goodbye"} and len(ends) <= MOST_RENEWALS
