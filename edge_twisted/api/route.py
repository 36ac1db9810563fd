# SPDX-License-Identifier: Apache-2.0
"""The route of an endpoint: its path, its methods, and what the server must know before it runs."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Route:
    """The declaration of one endpoint, whether or not the configuration switches it on."""

    #: Its name in metrics, audit, throttling and permissions, as in ``http_api``.
    endpoint: str
    #: Exact, or ending in one ``{name}`` that stands for the rest of the path.
    path: str
    #: Upper-case; GET brings HEAD with it.
    methods: tuple[str, ...]
    #: The key of the configuration that switches it on, as ``http_server.http_api.execute``.
    setting: str
    #: Whether the caller must have a key (unless the server runs in dev_mode).
    needs_key: bool = True
    #: Whether throttling counts it.
    is_throttled: bool = True
    #: Whether bodies stream, so that the request timeout bounds the time without progress.
    streams: bool = False
    #: What the JSON of every error has beside ``error``, one before the endpoint is reached too.
    beside_errors: Mapping[str, object] = field(factory=dict, eq=False)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods that it answers, HEAD among them where GET is."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods
