# SPDX-License-Identifier: Apache-2.0
"""
Discovery on the local network: DNS-SD over multicast DNS (RFC 6763, RFC 6762).

A server that listens announces an instance of `SERVICE_TYPE`, whose name is two keyed hashes: one
of the database, one of the peer.  The key is the mesh's, so outsiders learn neither, and cannot
tell which instances belong together, beyond those that are equal.  What is found is an address
to be dialled like a known one, no more: membership is proven there.

What the network does is done by an `Mdns`, in threads; here are its names, its timer, and the
bookkeeping, all on the reactor thread.
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

from edge_twisted.mesh.links.connectors import PeerAddress
from edge_twisted.mesh.trust.peer_key import PeerKey

log = Logger()

T = TypeVar("T")

#: At most 15 characters of letters, digits and hyphens (RFC 6335).
SERVICE_TYPE: Final = "_edge-twisted._tcp.local."
#: How often the machine's addresses are looked at, and a failed start is tried again.
LOOK_SECONDS: Final = 30.0
#: What a network full of announcements may cost.
MAX_INSTANCES: Final = 64
MAX_ADDRESSES: Final = 4
_HASH_BYTES: Final = 8


@frozen
class MeshNames:
    """The names of instances of one mesh; `discovery_key` is known to its members alone."""

    _discovery_key: bytes
    _db_id: str

    @property
    def prefix(self) -> str:
        """What the names of all its instances begin with."""
        return self._hash(f"db {self._db_id}") + "-"

    def instance(self, peer: PeerKey) -> str:
        """Return the name of a peer's instance, 33 characters."""
        return self.prefix + self._hash(f"peer {peer}")

    def _hash(self, text: str) -> str:
        digest = hmac.digest(self._discovery_key, text.encode("utf-8"), hashlib.sha256)
        return digest[:_HASH_BYTES].hex()


@frozen(kw_only=True)
class Announcement:
    """What is announced: where this server listens; a wildcard stands for all its addresses."""

    instance: str
    ip: str
    port: int


#: Told an instance's name and its addresses, none when it has vanished; from any thread.
Heard = Callable[[str, tuple[PeerAddress, ...]], None]


class MdnsSession(Protocol):
    """Announces and listens, until it is closed."""

    def close(self) -> None:
        """Say goodbye and stop; blocks."""


class Mdns(Protocol):
    """Multicast DNS; its methods block, and are called in threads."""

    def addresses(self) -> frozenset[str]:
        """Return the machine's addresses, without loopback ones."""

    def open(self, announcement: Announcement | None, heard: Heard) -> MdnsSession:
        """
        Begin to announce and to listen.

        :raises OSError: there is no network for it.
        """


@frozen(kw_only=True)
class DiscoveryParts:
    """
    What discovery works with.

    :param in_thread: runs a function in a thread; its result comes back to the reactor's.
    :param from_thread: has the reactor thread call a function.
    """

    mdns: Mdns
    names: MeshNames
    us: PeerKey
    announce: Announcement | None
    found: Callable[[PeerAddress], None]
    vanished: Callable[[PeerAddress], None]
    clock: IReactorTime
    in_thread: Callable[[Callable[[], object]], Deferred[object]]
    from_thread: Callable[[Callable[[], None]], None]


class Discovery:
    """Finds peers and lets itself be found, whenever there is a network."""

    def __init__(self, parts: DiscoveryParts) -> None:
        self._parts = parts
        self._own = parts.names.instance(parts.us)
        self._instances: dict[str, tuple[PeerAddress, ...]] = {}
        self._session: MdnsSession | None = None
        self._addresses: frozenset[str] = frozenset()
        self._timer: IDelayedCall | None = None
        self._looking: Deferred[None] | None = None
        self._is_running = False
        self._has_complained = False

    @property
    def targets(self) -> frozenset[PeerAddress]:
        """Every address that is announced now."""
        return frozenset(target for each in self._instances.values() for target in each)

    def start(self) -> None:
        """Begin; returns at once."""
        self._is_running = True
        self._look_soon(0.0)

    async def stop(self) -> None:
        """Say goodbye to the network."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._looking is not None:
            await self._looking
        await self._close()

    # -- inner: the network

    def _look_soon(self, seconds: float) -> None:
        if self._is_running:
            self._timer = self._parts.clock.callLater(seconds, self._begin_to_look)

    def _begin_to_look(self) -> None:
        self._timer = None
        self._looking = Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        """Open, or open anew after the machine's addresses have changed."""
        try:
            addresses = await self._in_thread(self._parts.mdns.addresses)
            if addresses != self._addresses or self._session is None:
                await self._close()
                self._addresses = addresses
                if self._is_running:
                    await self._open()
            self._has_complained = False
        except Exception as error:  # the boundary to a library, its threads and the network
            if not self._has_complained:
                self._has_complained = True
                log.warn(
                    "No discovery on the local network: {reason}; trying on",
                    reason=str(error) or type(error).__name__,
                )
            log.debug("Discovery failed: {error}", error=repr(error))
        finally:
            self._looking = None
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

    def _heard(self, name: str, targets: tuple[PeerAddress, ...]) -> None:
        """From whatever thread."""
        self._parts.from_thread(lambda: self._take_if_running(name, targets))

    def _take_if_running(self, name: str, targets: tuple[PeerAddress, ...]) -> None:
        if self._is_running:
            self._take(name, targets)

    def _take(self, name: str, targets: tuple[PeerAddress, ...]) -> None:
        """Take over what an instance's addresses are now."""
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
