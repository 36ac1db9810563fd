# SPDX-License-Identifier: Apache-2.0
"""The narrow view of a request that endpoints, gates and observers have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from attrs import define, field

from edge_twisted.api.body import RequestBody
from edge_twisted.api.rate_window import RateWindow
from edge_twisted.api.route import Route
from edge_twisted.security.callers import Caller


class Headers:
    """
    The header fields of a request; names are case-insensitive.

    A name that came twice has its values joined by ``", "``.  Names whose value is a single thing
    (Host, Authorization, Content-Type, ...) never come twice: such a request is refused before.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        #: Lower-case names.
        self._fields = fields

    def get(self, name: str) -> str | None:
        """Return a field's value, bytes taken as Latin-1, without surrounding blanks; or None."""
        value = self._fields.get(name.lower().encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def get_bytes(self, lower_name: bytes) -> bytes | None:
        """Return a field's value by its lower-case name, or None; for hot paths."""
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
    One request.  When the client goes away, or the time is over, whatever `await` the endpoint is
    in raises `CancelledError`: clean up in ``finally`` and let it pass.
    """

    #: The server's own id of this request, on the response and in every log.
    id: str
    method: str
    #: Decoded, without the query; begins with a slash (or is ``*``).
    path: str
    #: Raw, without the question mark.  May hold secrets: never log it.
    query: str = field(repr=False)
    headers: Headers
    #: The caller's address, trusted proxies resolved.
    client: str
    #: Whether the connection is encrypted.
    is_secure: bool
    _body: RequestBody = field(repr=False, alias="body")

    # -- filled in by the pipeline

    #: What the router found; None while it is unknown.
    route: Route | None = None
    #: What stands for ``{name}`` in the route's path.
    path_parameter: str = ""
    #: Who calls; None under dev_mode, on routes that need no key, and before authentication.
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
        """What the client said of its body's length; None for chunks."""
        return self._body.announced

    @property
    def bytes_received(self) -> int:
        """How many bytes of its body have arrived."""
        return self._body.received

    def bound_body(self, limit: int) -> None:
        """
        Accept no more bytes of body than `limit`; for the pipeline.

        :raises BodyTooLarge: more are announced, or here already.
        """
        self._body.bound(limit)

    async def body(self, limit: int | None = None) -> bytes:
        """
        Return the whole body; once only.

        `limit` may be tighter than what the route takes anyway, in bytes.

        :raises BodyTooLarge: let it pass: the client gets 413.
        :raises MalformedRequest: the chunks are broken; let it pass.
        """
        return await self._body.read(limit)

    def body_pieces(self) -> AsyncIterator[bytes]:
        """
        Iterate over the body as it arrives; once only, never both this and `body`.

        The client is held back while the endpoint works on a piece, so that memory does not grow
        with the body.  Raises as `body` does, from the iteration.
        """
        return self._body.pieces()
