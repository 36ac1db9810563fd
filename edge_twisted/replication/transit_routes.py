# SPDX-License-Identifier: Apache-2.0
"""
Which subscriptions a server in transit passes on to which neighbour.

A subscription comes with its *path*: the sites of the servers for which it is passed on, the
subscriber first.  A server passes it on with the path made longer by the neighbour from which it
came, and only to neighbours that are not in the path.  So it never comes back to whom it serves,
and once the subscriber has left, no two servers keep it alive for each other: what is left are
longer and longer paths, which end at `MAX_HOPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from attrs import define, evolve, field

from edge_twisted.mesh.ports.requests import Scope, TransitRoute
from edge_twisted.mesh.wire.items import ScopeKey
from edge_twisted.mesh.wire.messages import MAX_HOPS

#: Subscriptions of one neighbour that are passed on, and of all; the streams of a link are limited
#: (`wire.messages.MAX_SCOPES`), and this server's own come first.
MOST_OF_ONE: Final = 256
MOST_IN_ALL: Final = 768


class PeerSubscription(NamedTuple):
    """A subscription of a neighbour: what it wants, and for whom it passes it on."""

    scope: Scope
    path: tuple[bytes, ...]


@define(eq=False)
class TransitPeer:
    """
    A neighbour, linked or remembered.

    :ivar site: empty as long as it is not known.
    :ivar current: subscriptions over the link, by number.
    :ivar remembered: those of its last link; they count until it has said anew what it wants.
    :ivar subscribed: what this server subscribes to at it for others.
    :ivar acknowledged: the commit here up to which it has what it wants.
    :ivar waiting_since: while there is no room, since when it has acknowledged nothing (monotonic
        seconds); None: it has, or there is room.
    :ivar seen_ms: when it was linked last.
    """

    site: bytes = b""
    is_linked: bool = False
    link: object = None
    current: dict[int, PeerSubscription] = field(factory=dict)
    remembered: dict[ScopeKey, PeerSubscription] = field(factory=dict)
    subscribed: dict[ScopeKey, Scope] = field(factory=dict)
    acknowledged: int = 0
    waiting_since: float | None = None
    seen_ms: int = 0

    def subscriptions(self) -> Iterator[PeerSubscription]:
        """Yield what it wants, each scope once; no more than is passed on for one neighbour."""
        found = {each.scope.key: each for each in self.current.values()}
        for number, each in enumerate({**self.remembered, **found}.values()):
            if number >= MOST_OF_ONE:
                break
            yield each

    def wants(self, collection: str) -> bool:
        """Return whether it subscribes to something in a collection."""
        return any(each.scope.collection == collection for each in self.subscriptions())


@define(eq=False)
class TransitRoutes:
    """
    The neighbours and what is passed on; decides, and does nothing.

    :param us: the site of this server.
    :param is_own: whether this server wants all of a scope itself, or may not hand it on.
    :ivar tokens: for each scope the token that is passed on with it.
    """

    us: bytes
    is_own: Callable[[Scope], bool]
    peers: dict[str, TransitPeer] = field(factory=dict)
    tokens: dict[ScopeKey, bytes] = field(factory=dict)

    def scopes(self) -> dict[ScopeKey, Scope]:
        """Return all scopes that can be passed on, at most `MOST_IN_ALL`."""
        found: dict[ScopeKey, Scope] = {}
        for peer in self.peers.values():
            for each in peer.subscriptions():
                if len(found) >= MOST_IN_ALL:
                    return found
                if not self.is_own(each.scope):
                    found.setdefault(each.scope.key, each.scope)
        return found

    def wanted(self, target: str, scopes: dict[ScopeKey, Scope]) -> dict[ScopeKey, Scope]:
        """
        Return what to subscribe to at a linked neighbour, with the routes.

        A route that is in use stays while it leads to a subscriber, for to change it costs a
        subscription.

        :param scopes: what `scopes` returned.
        """
        to = self.peers[target]
        if not to.site:
            return {}
        paths: dict[ScopeKey, list[tuple[bytes, ...]]] = {}
        for name, peer in self.peers.items():
            if name == target or not peer.site:
                continue
            for each in peer.subscriptions():
                path = (*each.path, peer.site)
                if self._may_use(path, to.site) and each.scope.key in scopes:
                    paths.setdefault(each.scope.key, []).append(path)
        return {
            key: evolve(scopes[key], route=self._route(to, key, found))
            for key, found in paths.items()
        }

    def _may_use(self, path: tuple[bytes, ...], to: bytes) -> bool:
        return len(path) <= MAX_HOPS and to not in path and self.us not in path

    def _route(
        self, to: TransitPeer, key: ScopeKey, paths: list[tuple[bytes, ...]]
    ) -> TransitRoute:
        token = self.tokens.get(key, b"")
        used = to.subscribed.get(key)
        if used is not None and used.route is not None and used.route.path in paths:
            return TransitRoute(used.route.path, token)
        return TransitRoute(min(paths, key=lambda path: (len(path), path)), token)
