# SPDX-License-Identifier: Apache-2.0
"""The route of an endpoint: path, methods, and what is checked before it runs."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class Route:
    """The declaration of one endpoint, whether or not the configuration switches it on."""

    #: The endpoint's name in metrics, permissions and throttling, as in ``http_api``.
    endpoint: str
    #: The exact path, or one that ends in ``{name}``, which stands for the rest of the path.
    path: str
    #: Methods in upper case; GET includes HEAD.
    methods: tuple[str, ...]
    #: The setting that switches the endpoint on, such as ``http_server.http_api.execute``.
    setting: str
    #: Whether the caller must have a key (unless the server runs in dev_mode).
    needs_key: bool = True
    #: Whether throttles count its requests.
    is_throttled: bool = True
    #: Whether bodies stream, so that the request timeout counts from the last progress.
    streams: bool = False
    #: Members that the JSON of every error on this route has beside ``error``.
    beside_errors: Mapping[str, object] = field(factory=dict, eq=False)

    @property
    def allowed(self) -> tuple[str, ...]:
        """All methods that the endpoint answers: HEAD too, where there is GET."""
        return (*self.methods, "HEAD") if "GET" in self.methods else self.methods
