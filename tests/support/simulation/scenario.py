# SPDX-License-Identifier: Apache-2.0
"""One seed: servers, links, faults, a heal, and the verdict."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

from attrs import define, field

from edge_twisted.errors import EdgeError
from edge_twisted.replication import reaped
from edge_twisted.replication.reaped import MOST_REAPED
from tests.support.callers import Everything
from tests.support.simulation import workload
from tests.support.simulation.absences import AbsenceCost, be_absent
from tests.support.simulation.contents import Contents, documents_of
from tests.support.simulation.network import Quality, SimulatedConnection
from tests.support.simulation.node import ConnectionEnd, Server, SimulationFailed
from tests.support.simulation.oracle import Oracle
from tests.support.simulation.storage import MemoryStorage, SqliteStorage, Storage
from tests.support.simulation.verdict import check_end
from tests.support.simulation.workload import WorkloadStatement
from tests.support.simulation.world import World

Heard = Callable[[str], object] | None

WHOLE: Final = ("SELECT * FROM c", "SELECT * FROM d", "SELECT * FROM t")
CONDITIONS: Final = (
    ("SELECT * FROM c WHERE a = 1", "SELECT * FROM t"),
    ("SELECT * FROM c WHERE b IS NOT MISSING", "SELECT * FROM d"),
    ("SELECT * FROM c WHERE a = 1", "SELECT * FROM c WHERE b = 2", "SELECT * FROM d WHERE n > 0"),
    # Scopes that overlap: a document that matches several of them travels once.
    (
        "SELECT * FROM c WHERE a = 1",
        "SELECT * FROM c WHERE a IS NOT MISSING",
        "SELECT * FROM c WHERE b IS NOT MISSING",
        "SELECT * FROM d",
        "SELECT * FROM d WHERE n > 0",
    ),
)
#: Scopes that come and go while others that overlap them stay.
MORE: Final = (
    "SELECT * FROM c WHERE a = 1",
    "SELECT * FROM c WHERE a IS NOT MISSING",
    "SELECT * FROM c WHERE b = 2",
    "SELECT * FROM d WHERE n > 0",
    "SELECT * FROM c",
)
#: What can go wrong; a seed chooses some.
FAULTS: Final = (
    "cut", "stall", "partition", "crash", "restore", "skew", "reap", "evict", "subscribe",
    "scopes", "double", "crash_at_commit", "overlap", "forget",
)  # fmt: skip
#: How far a clock is off that somebody set wrong, in ms: nobody links with such a server, and users
#: go on writing there.
WRONG_CLOCKS_MS: Final = (-7_200_000, 1_200_000, 10_800_000, 50_400_000, 40 * 86_400_000)
#: What servers in transit may keep for others: hardly anything, some documents, all.
TRANSIT_BYTES: Final = (1, 2_000, 10_000, 1 << 20)
#: With less, one document pushes out another.
CROWDED_BYTES: Final = 10_000
#: After the heal, everybody shows the same within this time: a repair that was just made
#: holds the next one off for half a minute.
HEAL_SECONDS: Final = 100.0
QUIET_SECONDS: Final = 8.0
#: Two rounds of fingerprints and repairs, with the pause between them.
SETTLE_SECONDS: Final = 90.0
#: What one link may say in a second when nothing happens: keep-alives of both sides.
QUIET_BYTES_PER_SECOND: Final = 60.0
GOOD: Final = Quality(
    latency_seconds=0.001, jitter_seconds=0.001, bytes_per_second=1e7, cuts_pieces=False
)


@define(eq=False)
class Mesh:
    """The servers of one seed and everything that happens to them."""

    world: World
    folder: Path | None
    servers: list[Server] = field(factory=list)
    #: Who dials whom.
    dials: list[tuple[int, int]] = field(factory=list)
    blocked: set[frozenset[int]] = field(factory=set)
    connections: list[SimulatedConnection] = field(factory=list)
    oracle: Oracle = field(factory=Oracle)
    faults: frozenset[str] = frozenset()
    #: Of each server that has a backup: the serial of the oracle then, and what it held.
    backups: dict[int, tuple[int, Contents]] = field(factory=dict)
    is_healing: bool = False
    reaped: bool = False
    restored: bool = False
    quality: Quality = GOOD
    absence: AbsenceCost | None = None
    #: The bound of reaped deletes that a server remembers one by one.
    most_reaped: int = MOST_REAPED
    #: Most servers subscribe with conditions, and everybody reaps at once.
    is_forgetful: bool = False
    transit_chance: float = 0.4
    #: Whether servers in transit beside each other may have room for hardly any document.
    may_crowd: bool = False

    # -- the beginning

    @property
    def has_transit(self) -> bool:
        """Whether a server is in transit; full ones fetch from each other, ever more rarely."""
        return any(each.transit_bytes is not None for each in self.servers)

    @property
    def is_crowded(self) -> bool:
        """
        Whether one of several servers in transit has room for hardly any document.

        Such neighbours make each other fetch again, ever more rarely (decision 12, costs): they
        agree, and are not quiet within minutes.
        """
        rooms = [each.transit_bytes for each in self.servers if each.transit_bytes is not None]
        return len(rooms) > 1 and min(rooms) < CROWDED_BYTES

    def build(self) -> None:
        """Make servers and the lines between them."""
        random = self.world.random
        count = random.choice((2, 2, 3, 3, 4, 5))
        self.faults = frozenset(random.sample(FAULTS, random.randrange(len(FAULTS))))
        slow = random.random() < 0.3
        self.quality = Quality(
            latency_seconds=random.choice((0.0005, 0.02, 0.2)),
            jitter_seconds=random.choice((0.0, 0.01, 0.3)),
            bytes_per_second=3_000.0 if slow else 1e6,
            cuts_pieces=random.random() < 0.5,
        )
        has_transit = random.random() < self.transit_chance
        count += has_transit
        for number in range(count):
            partial = number > 0 and random.random() < (0.7 if self.is_forgetful else 0.25)
            queries: tuple[str, ...] = random.choice(CONDITIONS) if partial else WHOLE
            most = None
            if has_transit and 0 < number < count - 1 and random.random() < 0.6:
                most = self._room()
                queries = queries if most is None else ()
            server = Server(self.world, number, self._storage(number), queries, most)
            self.servers.append(server)
        self._wire()
        # Of what a restored server wrote after its backup, nobody can say to know all.
        if self.is_forgetful:
            others = sorted(self.faults - {"restore", "scopes"})[:2]
            self.faults = frozenset(("reap", "subscribe", *others))
        if "reap" in self.faults and "restore" not in self.faults:
            # A generator of its own, so that older seeds remain what they are.
            bounds = (0, 0, 1, 3) if self.is_forgetful else (0, 0, 1, 3, MOST_REAPED)
            self.most_reaped = Random(f"bound {self.world.seed}").choice(bounds)
        self.world.note("built", count, sorted(self.faults), self.dials, self.most_reaped)
        self._dial()

    def _room(self) -> int | None:
        """
        Return how many bytes a server in transit may keep; None: let it not be in transit.

        Servers in transit beside each other, of which one has room for hardly any document, may
        show different documents for long (decision 12, costs): only `may_crowd` makes them.
        """
        room = self.world.random.choice(TRANSIT_BYTES)
        others = [each.transit_bytes for each in self.servers if each.transit_bytes is not None]
        if self.may_crowd or not others:
            return room
        return max(room, CROWDED_BYTES) if min(others) >= CROWDED_BYTES else None

    def _storage(self, number: int) -> Storage:
        site = self.world.entropy(16)
        if self.folder is not None:
            return SqliteStorage(self.world, self.folder / str(number))
        return MemoryStorage(self.world, site)

    def _wire(self) -> None:
        """Connect those who hand on everything by a tree and some more; hang the others on."""
        random = self.world.random
        full = [
            each.number
            for each in self.servers
            if each.queries == WHOLE or each.transit_bytes is not None
        ]
        lines = {frozenset((each, random.choice(full[:at]))) for at, each in enumerate(full) if at}
        for server in self.servers:
            if server.number not in full:
                lines.add(frozenset((server.number, random.choice(full))))
            if random.random() < 0.4 and len(full) > 1:
                lines.add(frozenset((server.number, random.choice(full))))
        for line in sorted(sorted(each) for each in lines if len(each) == 2):
            a, b = line if random.random() < 0.5 else reversed(line)
            self.dials.append((a, b))
            if random.random() < 0.3:
                self.dials.append((b, a))

    # -- links

    def _dial(self) -> None:
        """Keep every line up, again and again."""
        for a, b in self.dials:
            dialler, dialled = self.servers[a], self.servers[b]
            is_possible = dialler.is_up and dialled.is_up and frozenset((a, b)) not in self.blocked
            if is_possible and not self._is_dialled(dialler, dialled):
                self.connect(dialler, dialled)
        self.world.later(0.3 + self.world.random.random() * 0.4, self._dial)

    def _is_dialled(self, dialler: Server, dialled: Server) -> bool:
        is_linked = dialler.linked(dialled) is not None
        return is_linked or any(e.peer is dialled and e.dialled for e in dialler.ends)

    def connect(self, dialler: Server, dialled: Server) -> None:
        """Connect two servers."""
        ends = (
            ConnectionEnd(dialler, dialled, True, dialler.incarnation),
            ConnectionEnd(dialled, dialler, False, dialled.incarnation),
        )
        connection = SimulatedConnection(self.world, self.quality, ends)
        self.connections.append(connection)
        self.connections = [each for each in self.connections if each.is_open]
        for side, end in enumerate(ends):
            end.connection, end.side = connection, side
            end.server.ends.append(end)
        self.world.note("connect", dialler.name, dialled.name)
        for end in ends:
            self.world.soon(0.02, lambda end=end: self._begin(end))  # type: ignore[misc]

    def _begin(self, end: ConnectionEnd) -> None:
        is_same = end.incarnation == end.server.incarnation
        if is_same and not end.is_over and end.connection and end.connection.is_open:
            end.start()

    # -- users

    def use(self, seconds: float, per_second: float) -> None:
        """Let users write for a while, and faults happen."""
        random = self.world.random
        end = self.world.now + seconds
        while self.world.now < end:
            self.world.run_until(self.world.now + random.expovariate(per_second))
            if random.random() < 0.85:
                self._write(random.choice(self.servers))
            elif self.faults:
                self._fail(random.choice(sorted(self.faults)))

    def _write(self, server: Server) -> None:
        if not server.is_up:
            return
        self.run(server, workload.statement(self.world.random))

    def run(self, server: Server, statement: WorkloadStatement) -> bool:
        """Run a statement on a server, and tell the oracle; False if it failed."""
        access = Everything()
        answer = server.replica.database.execute(
            statement.text, statement.arguments, access=access, request_id="", timeout_seconds=None
        )
        try:
            result = server.storage.wait(answer)
        except EdgeError as error:
            self.world.note("refused", server.name, statement.kind, error)
            return False
        self.world.note("ran", server.name, statement.text, result.mutated_ids)
        if statement.kind == "evict":
            return True
        documents = documents_of(server.replica.store)
        for id_ in result.mutated_ids:
            place = (statement.collection, workload.key_of(id_))
            self.oracle.wrote(server.number, place, documents[place])
        if statement.kind == "tally" and result.mutated_ids:
            self.oracle.tallied(server.number, statement.amount)
        return True

    # -- faults

    def _fail(self, fault: str) -> None:
        server = self.world.random.choice(self.servers)
        self.world.note("fault", fault, server.name)
        act: Callable[[Server], None] = getattr(self, f"_fault_{fault}")
        act(server)

    def _a_connection(self) -> SimulatedConnection | None:
        living = [each for each in self.connections if each.is_open]
        return self.world.random.choice(living) if living else None

    def _fault_cut(self, server: Server) -> None:
        connection = self._a_connection()
        if connection is not None:
            connection.cut()

    def _fault_stall(self, server: Server) -> None:
        connection = self._a_connection()
        if connection is not None:
            connection.stall(self.world.random.choice((0.3, 2.0, 7.0)))

    def _fault_partition(self, server: Server) -> None:
        lines = {frozenset(line) for line in self.dials if server.number in line}
        self.blocked |= lines
        for end in tuple(server.ends):
            if end.connection is not None and self.world.chance(0.5):
                end.connection.cut()
            elif end.connection is not None:
                end.connection.stall(1000.0)
        seconds = self.world.random.choice((1.0, 5.0, 15.0))
        self.world.later(seconds, lambda: self.blocked.difference_update(lines))

    def _fault_crash(self, server: Server) -> None:
        if server.is_up:
            server.crash()
            self._start_later(server)

    def _fault_crash_at_commit(self, server: Server) -> None:
        """Crash as soon as something is durable, before anybody is told."""
        if not server.is_up:
            return
        incarnation = server.incarnation

        def crash() -> None:
            if server.is_up and server.incarnation == incarnation:
                server.crash()
                self._start_later(server)

        server.call_at_commit(self.world.random.randrange(1, 6), crash)

    def _start_later(self, server: Server) -> None:
        self.world.soon(4.0, lambda: None if server.is_up else server.start())

    def _fault_restore(self, server: Server) -> None:
        if not server.is_up:
            return
        if server.number not in self.backups or self.world.chance(0.4):
            server.storage.back_up()
            # A backup has nothing of what is kept for others.
            is_whole = server.transit_bytes is None
            serial = self.oracle.serial if is_whole else 0
            held = Contents(documents_of(server.replica.store), server.held.departed)
            self.backups[server.number] = serial, held
            return
        before = server.held
        server.crash()
        if not server.storage.restore():
            raise SimulationFailed("there is no backup")
        since, server.held_when_down = self.backups[server.number]
        self.oracle.forget(
            server.number, lambda record: True, since=since, before=before, now=self._held()
        )
        self.oracle.tallies_lost_since(server.number, since)
        self.restored = True
        self._start_later(server)

    def _held(self) -> dict[int, Contents]:
        return {each.number: each.held for each in self.servers}

    def _fault_skew(self, server: Server) -> None:
        offset = self.world.random.choice((-240_000, -1000, 0, 3000, 240_000, None))
        if offset is None:
            offset = self.world.random.choice(WRONG_CLOCKS_MS)
        server.offset_ms = offset
        if self.world.chance(0.5):
            # Else its links stay, and it is refused once it sends what it writes.
            for end in tuple(server.ends):
                if end.connection is not None:
                    end.connection.cut()

    def _fault_reap(self, server: Server) -> None:
        back = self.world.random.choice((0, 0, 2000)) if server.is_up else 0
        for each in self.servers if self.is_forgetful else (server,):
            if each.is_up:
                self.reaped = True
                if self.most_reaped < MOST_REAPED:
                    each.note_acknowledged()
                with patch.object(reaped, "MOST_REAPED", self.most_reaped):
                    each.storage.wait(each.replica.store.reap(each.now_ms() - back, 1000))

    def _fault_evict(self, server: Server) -> None:
        if not server.is_up:
            return
        statement = workload.evict(self.world.random)
        place = (statement.collection, workload.key_of(statement.arguments["id"]))
        before = server.held
        if self.run(server, statement):
            self.oracle.forget(
                server.number,
                lambda record: record.place == place,
                before=before,
                now=self._held(),
            )

    def _fault_subscribe(self, server: Server) -> None:
        if not server.is_up or server.number == 0:
            return
        other = self.world.random.choice((*CONDITIONS, WHOLE, ("SELECT * FROM t",)))
        self._subscribe_for_a_while(server, other)

    def _fault_overlap(self, server: Server) -> None:
        """Add scopes to those that a server has, or take some of them away."""
        if not server.is_up or server.number == 0:
            return
        random = self.world.random
        kept = [query for query in server.queries if random.random() < 0.8]
        added = random.sample(MORE, random.randrange(1, 4))
        self._subscribe_for_a_while(server, tuple(dict.fromkeys((*kept, *added))))

    def _subscribe_for_a_while(self, server: Server, queries: tuple[str, ...]) -> None:
        server.subscribe(queries)

        def back() -> None:
            if server.is_up:
                server.subscribe(server.final_queries)
            else:
                server.queries = server.final_queries

        self.world.later(self.world.random.random() * 5, back)

    def _fault_scopes(self, server: Server) -> None:
        if server.is_up:
            scope = self.world.random.choice(("LocalPeerOnly", "AllPeers", "BigPeerOnly"))
            self._set_scopes(server, {"c": scope})

    def _set_scopes(self, server: Server, scopes: dict[str, str]) -> None:
        text = "ALTER SYSTEM SET USER_COLLECTION_SYNC_SCOPES = :s"
        self.run(server, WorkloadStatement("alter", text, {"s": scopes}, ""))

    def _fault_double(self, server: Server) -> None:
        if self.dials:
            a, b = self.world.random.choice(self.dials)
            if self.servers[a].is_up and self.servers[b].is_up:
                self.connect(self.servers[b], self.servers[a])

    def _fault_forget(self, server: Server) -> None:
        """Lose the memory of bases, as if other links had needed the room."""
        server.bases.clear()

    # -- the end

    def heal(self) -> None:
        """Mend everything, and wait until all agree."""
        world = self.world
        world.note("heal")
        world.run_until(world.now + 6)  # subscriptions go back, the crashed start
        self.blocked.clear()
        for connection in self.connections:
            connection.cut()
        for server in self.servers:
            server.offset_ms = 0
            server.may_be_skewed = False
            if not server.is_up:
                server.start()
            self._set_scopes(server, {})
        deadline = world.now + HEAL_SECONDS
        while True:
            world.run_until(world.now + 1)
            # Who crashes now, at a commit of this time, cannot be asked.
            if not self._is_busy() and self._is_well(is_last=world.now >= deadline):
                break
            if world.now >= deadline:
                raise SimulationFailed(f"no link {HEAL_SECONDS} s later")
        world.note("healed", world.now)

    def _is_well(self, *, is_last: bool) -> bool:
        """Check the end; what is not there yet may still come, unless this is the last time."""
        try:
            check_end(self.servers, self.oracle, reaped=self.reaped)
        except SimulationFailed:
            if is_last:
                raise
            return False
        return True

    def _is_busy(self) -> bool:
        return any(self.servers[a].linked(self.servers[b]) is None for a, b in self.dials)

    def stay_quiet(self, seconds: float) -> None:
        """
        Soon nothing is said any more but that we live.

        Servers that agree on what they both want may still repair what only one of them wants.
        """
        deadline = self.world.now + SETTLE_SECONDS
        while True:
            self.world.run_until(self.world.now + 5)
            problem = self._disturbance(seconds)
            if not problem:
                return
            self.world.note("not quiet", problem)
            if self.world.now > deadline:
                raise SimulationFailed(f"{SETTLE_SECONDS} s later {problem}")

    def _disturbance(self, seconds: float) -> str:
        """Watch for a while; return what happens although nobody writes, or nothing."""
        lsns = [each.replica.store.lsn for each in self.servers]
        sent = {each: each.bytes_sent for each in self.connections if each.is_open}
        self.world.run_until(self.world.now + seconds)
        if lsns != [each.replica.store.lsn for each in self.servers]:
            return "something is still being stored"
        for connection, before in sent.items():
            rate = (connection.bytes_sent - before) / seconds
            if not connection.is_open:
                return "an idle link broke"
            if rate > QUIET_BYTES_PER_SECOND:
                return f"an idle link says {rate:.0f} bytes a second"
        return ""

    def close(self) -> None:
        """Close all stores."""
        for server in self.servers:
            if server.is_up:
                server.storage.close()


def simulate(
    seed: int,
    *,
    sqlite: bool = False,
    forgetful: bool = False,
    crowded: bool = False,
    heard: Heard = None,
) -> Mesh:
    """
    Run one seed, and return the mesh as it is in the end.

    :param forgetful: most servers subscribe with conditions, all reap often, and remember few of
        the deletes that they reaped.
    :param crowded: servers in transit beside each other may have room for hardly any document.
    :raises SimulationFailed: something is wrong; the message says what, the seed says how.
    """
    made = partial(Mesh, World(seed, heard), is_forgetful=forgetful, may_crowd=crowded)
    if sqlite:
        with tempfile.TemporaryDirectory() as folder:
            return _simulate(made(folder=Path(folder)))
    return _simulate(made(folder=None))


def _simulate(mesh: Mesh) -> Mesh:
    world = mesh.world
    try:
        mesh.build()
        mesh.run(
            mesh.servers[0],
            WorkloadStatement("insert", "INSERT INTO t DOCUMENTS ({'_id': 'tally'})", {}, "t"),
        )
        world.run_until(world.now + 3)
        random = world.random
        mesh.use(random.choice((4.0, 10.0, 20.0)), random.choice((2.0, 6.0, 12.0)))
        mesh.heal()
        quiet = 45.0 if random.random() < 0.1 and not mesh.has_transit else QUIET_SECONDS
        if not mesh.is_crowded:
            mesh.stay_quiet(quiet)
        check_end(mesh.servers, mesh.oracle, reaped=mesh.reaped)
        mesh.absence = be_absent(mesh)
        mesh.heal()
    except (AssertionError, EdgeError) as error:
        kind = f"{' (SQLite)' if mesh.folder else ''}{' (forgetful)' if mesh.is_forgetful else ''}"
        raise SimulationFailed(f"seed {world.seed}{kind}: {error}") from error
    finally:
        mesh.close()
    return mesh
