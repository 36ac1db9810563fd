# SPDX-License-Identifier: Apache-2.0
"""
Discovery on the local network: DNS-SD over multicast DNS (RFC 6763, RFC 6762).

A server that listens announces an instance of `SERVICE_TYPE`, whose name is two keyed hashes: of
the database and of the peer.  Members of the mesh alone have the key, so outsiders learn neither
name.  An instance that is found gives an address to dial, and no trust: the peer there has to prove
its membership like any other.

An `Mdns` talks to the network, in threads.  `Discovery` keeps its timer and the list of instances,
on the reactor thread.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from edge_twisted.mesh.carriers.tcp import TcpPeerAddress
from edge_twisted.mesh.trust.peer_key import PeerKey

log = Logger()

T = TypeVar("T")

#: At most 15 characters of letters, digits and hyphens (RFC 6335).
SERVICE_TYPE: Final = "_edge-twisted._tcp.local."
#: How often to compare the machine's addresses, and to try again after a failure.
LOOK_SECONDS: Final = 30.0
#: Instances, and addresses of each, that are remembered: a network may be full of them.
MAX_INSTANCES: Final = 64
MAX_ADDRESSES: Final = 4
_HASH_BYTES: Final = 8


@frozen
class MeshNames:
    """The instance names of one mesh; only its members have `discovery_key`."""

    _discovery_key: bytes
    _db_id: str

    @property
    def prefix(self) -> str:
        """The beginning that the instance names of the mesh share: a keyed hash and a hyphen."""
        return self._hash(f"db {self._db_id}") + "-"

    def instance(self, peer: PeerKey) -> str:
        """Return the name of a peer's instance, 33 characters."""
        return self.prefix + self._hash(f"peer {peer}")

    def _hash(self, text: str) -> str:
        digest = hmac.digest(self._discovery_key, text.encode("utf-8"), hashlib.sha256)
        return digest[:_HASH_BYTES].hex()


@frozen(kw_only=True)
class Announcement:
    """What this server announces; a wildcard `ip` stands for all addresses of the machine."""

    instance: str
    ip: str
    port: int


#: Takes an instance's name and its addresses, none when it has vanished; called in any thread.
InstanceHandler = Callable[[str, tuple[TcpPeerAddress, ...]], None]


class MdnsSession(Protocol):
    """An open use of multicast DNS: it announces and listens until it is closed."""

    def close(self) -> None:
        """Withdraw the announcement and stop; blocks."""


class Mdns(Protocol):
    """Multicast DNS; its methods block, and are called in threads."""

    def addresses(self) -> frozenset[str]:
        """Return the machine's IP addresses as texts, without loopback ones."""

    def open(self, announcement: Announcement | None, handler: InstanceHandler) -> MdnsSession:
        """Begin to announce (None: only to listen); `handler` is told of instances.

        :raises OSError: the machine has no network that can be used; try again when it has.
        """


@frozen(kw_only=True)
class DiscoveryParts:
    """
    What discovery works with.

    :param found: called with each new address; `vanished` with each that is gone.
    :param in_thread: runs a function in a thread; fires with its result in the reactor thread.
    :param from_thread: has the reactor thread call a function.
    """

    mdns: Mdns
    names: MeshNames
    us: PeerKey
    announce: Announcement | None
    found: Callable[[TcpPeerAddress], None]
    vanished: Callable[[TcpPeerAddress], None]
    clock: IReactorTime
    in_thread: Callable[[Callable[[], object]], Deferred[object]]
    from_thread: Callable[[Callable[[], None]], None]


class Discovery:
    """Finds peers on the local network and announces this server, while there is a network."""

    def __init__(self, parts: DiscoveryParts) -> None:
        self._parts = parts
        self._own = parts.names.instance(parts.us)
        self._instances: dict[str, tuple[TcpPeerAddress, ...]] = {}
        self._session: MdnsSession | None = None
        self._addresses: frozenset[str] = frozenset()
        self._timer: IDelayedCall | None = None
        self._look_task: Deferred[None] | None = None
        self._is_running = False
        self._has_warned = False

    @property
    def targets(self) -> frozenset[TcpPeerAddress]:
        """All addresses of all instances now."""
        return frozenset(target for each in self._instances.values() for target in each)

    def start(self) -> None:
        """Begin to find and to announce; returns at once."""
        self._is_running = True
        self._look_soon(0.0)

    async def stop(self) -> None:
        """Withdraw the announcement and stop; done once no thread works for it any more."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._look_task is not None:
            await self._look_task
        await self._close()

    # -- inner: the network

    def _look_soon(self, seconds: float) -> None:
        if self._is_running:
            self._timer = self._parts.clock.callLater(seconds, self._begin_to_look)

    def _begin_to_look(self) -> None:
        self._timer = None
        self._look_task = Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        """Open multicast DNS if it is closed, or if the machine's addresses have changed."""
        try:
            addresses = await self._in_thread(self._parts.mdns.addresses)
            if addresses != self._addresses or self._session is None:
                await self._close()
                self._addresses = addresses
                if self._is_running:
                    await self._open()
            self._has_warned = False
        except Exception as error:  # the boundary to a library, its threads and the network
            if not self._has_warned:
                self._has_warned = True
                log.warn(
                    "No discovery on the local network: {reason}; trying on",
                    reason=str(error) or type(error).__name__,
                )
            log.debug("Discovery failed: {error}", error=repr(error))
        finally:
            self._look_task = None
            self._look_soon(LOOK_SECONDS)

    async def _open(self) -> None:
        announce, mdns = self._parts.announce, self._parts.mdns
        self._session = await self._in_thread(lambda: mdns.open(announce, self._heard))
        log.info(
            "Discovering peers on the local network as {instance}",
            instance=announce.instance if announce is not None else "nobody (not listening)",
        )

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                await self._in_thread(session.close)
            except Exception:  # as above
                log.failure("Ending discovery failed")
        for name in tuple(self._instances):
            self._take(name, ())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        results: list[T] = []
        await self._parts.in_thread(lambda: results.append(work()))
        return results[0]

    # -- inner: what is heard

    def _heard(self, name: str, targets: tuple[TcpPeerAddress, ...]) -> None:
        """Pass what was heard to the reactor thread; called in any thread."""
        self._parts.from_thread(lambda: self._take_if_running(name, targets))

    def _take_if_running(self, name: str, targets: tuple[TcpPeerAddress, ...]) -> None:
        if self._is_running:
            self._take(name, targets)

    def _take(self, name: str, targets: tuple[TcpPeerAddress, ...]) -> None:
        """Set the addresses of an instance; tell of those that are new or gone."""
        if name == self._own or not name.startswith(self._parts.names.prefix):
            return
        if name not in self._instances and len(self._instances) >= MAX_INSTANCES:
            return
        before = self.targets
        if targets:
            self._instances[name] = targets[:MAX_ADDRESSES]
        else:
            self._instances.pop(name, None)
        after = self.targets
        for target in before - after:
            self._parts.vanished(target)
        for target in after - before:
            self._parts.found(target)
