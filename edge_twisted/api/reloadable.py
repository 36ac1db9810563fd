# SPDX-License-Identifier: Apache-2.0
"""The API of a running server: routes and gate, replaced at each reload."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_twisted.api.cors import CrossOrigin
from edge_twisted.api.gate import ApiGate, GateRules
from edge_twisted.api.hosts import OwnNames
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Resource
from edge_twisted.api.throttle import Throttle
from edge_twisted.api.tree import ApiParts, build, http_of
from edge_twisted.config.model import Configuration, HttpServer
from edge_twisted.errors import EdgeError
from edge_twisted.security.key_ring import DeferToPool, KeyRing


class ReloadableApi:
    """
    Routes and gate of the newest configuration.

    A request keeps the rules that it began with.

    :param throttle_of: makes the throttle of a configuration.  It is called again only if the
        strategies have changed, so that the counts survive other reloads.
    :param own_names: returns the names to answer to without keys; None: any name.
    """

    def __init__(
        self,
        configuration: Configuration,
        parts: ApiParts,
        *,
        defer_to_pool: DeferToPool,
        throttle_of: Callable[[HttpServer], Throttle],
        own_names: OwnNames | None = None,
    ) -> None:
        self._parts = parts
        self._defer_to_pool = defer_to_pool
        self._throttle_of = throttle_of
        self._own_names = own_names
        self._configuration = configuration
        http = http_of(configuration)
        self._throttle = throttle_of(http)
        self._keys = self._key_ring(configuration)
        self._router = build(configuration, parts)
        #: The gate before all endpoints.
        self.gate = ApiGate(self._gate_rules(http))

    def find(self, request: Request) -> Resource:
        """See `Router.find`: the routes of the newest configuration."""
        return self._router.find(request)

    # -- Reloadable

    def verify(self, new: Configuration) -> Sequence[str]:
        """Return the reasons against a configuration, a sentence each, none if there are none."""
        if new.auth is None:
            return ()
        try:
            KeyRing(new.auth.identities, self._defer_to_pool)
        except EdgeError as error:
            return [str(error)]
        return ()

    def commit(self, new: Configuration) -> Sequence[str]:
        """Serve by the configuration `new` from now on; return the settings that need a restart."""
        if new.http_server is None:
            # This class cannot close the listener, so the API goes on unchanged.
            return ["http_server"]
        old, self._configuration = http_of(self._configuration), new
        if new.http_server.throttling != old.throttling:
            self._throttle = self._throttle_of(new.http_server)
        if self._keys is not None and new.auth is not None:
            self._keys.replace(new.auth.identities)
        else:
            self._keys = self._key_ring(new)
        self._router = build(new, self._parts)
        self.gate.replace(self._gate_rules(new.http_server))
        return ()

    # -- inner

    def _key_ring(self, configuration: Configuration) -> KeyRing | None:
        if configuration.auth is None:
            return None
        return KeyRing(configuration.auth.identities, self._defer_to_pool)

    def _gate_rules(self, http: HttpServer) -> GateRules:
        return GateRules(
            keys=self._keys,
            throttle=self._throttle,
            cors=None if http.cors is None else CrossOrigin(http.cors),
            own_names=self._own_names,
        )
