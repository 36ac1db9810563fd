# SPDX-License-Identifier: Apache-2.0
"""A request as endpoints, gates and observers see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from attrs import define, field

from edge_twisted.api.body import RequestBody
from edge_twisted.api.rate_window import RateWindow
from edge_twisted.api.request_ids import RequestId
from edge_twisted.api.route import Route
from edge_twisted.security.callers import Caller


class Headers:
    """
    The header fields of a request; names are case-insensitive.

    The values of a name that came more than once are joined by ``", "``.  A request is refused
    earlier if a field with a single meaning (Host, Authorization, Content-Type, ...) came twice.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        #: Lower-case names.
        self._fields = fields

    def get(self, name: str) -> str | None:
        """Return a field's value as text, without surrounding blanks; None: no such field.

        Its bytes are taken as Latin-1.
        """
        value = self._fields.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def get_bytes(self, lower_name: bytes) -> bytes | None:
        """Return a field's value by its lower-case name, None: no such field; for hot paths."""
        return self._fields.get(lower_name)

    def __contains__(self, name: str) -> bool:
        return name.lower().encode("latin-1") in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __repr__(self) -> str:
        # Values may be secrets.
        return f"Headers({', '.join(self)})"


# Not frozen: the pipeline fills in what it learns, and a frozen class costs twice as much to make.
@define(eq=False)
class Request:
    """
    One request.

    If the client goes away or the time limit is reached, the endpoint's current `await` raises
    `CancelledError`: clean up in ``finally`` and let the error pass.
    """

    id: RequestId
    method: str
    #: The decoded path without the query; begins with a slash, or is ``*``.
    path: str
    #: The query as it was sent, without the question mark.  May hold secrets: never log it.
    query: str = field(repr=False)
    headers: Headers
    #: The client's address; behind trusted proxies, the one that they name.
    client: str
    #: Whether the connection is encrypted.
    is_secure: bool
    _body: RequestBody = field(repr=False, alias="body")

    # -- filled in by the pipeline

    #: The route that the router found; None before that, and for unknown paths.
    route: Route | None = None
    #: The part of the path that matched ``{name}`` of the route.
    path_parameter: str = ""
    #: The authenticated caller; None on routes that need no key, and before authentication.
    identity: Caller | None = None

    #: The throttle's windows in which the request counts, for its RateLimit header fields.
    rate_windows: Sequence[RateWindow] = field(default=(), repr=False)

    # -- filled in by the endpoint, for the audit log

    #: The verb of the statement that ran.
    verb: str | None = None
    #: The collections that the statement named.
    collections: tuple[str, ...] = ()

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes that the client announced; None for chunks."""
        return self._body.announced

    @property
    def bytes_received(self) -> int:
        """Number of bytes of the body that have arrived."""
        return self._body.received

    def bound_body(self, limit: int) -> None:
        """
        Accept no more than `limit` bytes of body; for the pipeline.

        :raises BodyTooLarge: more bytes are announced, or have arrived already.
        """
        self._body.bound(limit)

    async def body(self, limit: int | None = None) -> bytes:
        """
        Return the whole body; call it once only.

        `limit` in bytes may be tighter than that of the route.

        :raises BodyTooLarge: let the error pass; the client gets 413.
        :raises MalformedRequest: the chunks are malformed; let the error pass.
        """
        return await self._body.read(limit)

    def body_pieces(self) -> AsyncIterator[bytes]:
        """
        Iterate over the body as it arrives; call either this or `body`, and once only.

        The client is held back while the endpoint works on a piece, so that memory does not grow
        with the body.  The iteration raises what `body` raises.
        """
        return self._body.pieces()
