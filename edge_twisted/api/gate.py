# SPDX-License-Identifier: Apache-2.0
"""
The gate before every endpoint: authentication, permission by endpoint, throttling, CORS.

A key that was valid before is recognized at once; only an unknown key has to be hashed first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import field, frozen
from twisted.internet.defer import Deferred

from edge_twisted.api.cors import CrossOrigin
from edge_twisted.api.errors import (
    Forbidden,
    HttpError,
    InvalidRequest,
    Unauthorized,
    header_lines_of,
)
from edge_twisted.api.hosts import OwnNames, is_own_host
from edge_twisted.api.request import Request
from edge_twisted.api.response import Response
from edge_twisted.api.throttle import Throttle
from edge_twisted.security.callers import ANYBODY, Caller
from edge_twisted.security.key_ring import KeyRing
from edge_twisted.security.networks import network_of

_AUTHORIZATION = b"authorization"
_SCHEME = b"bearer"
#: The usual form: one blank, and a key without blanks and commas.
_USUAL = re.compile(rb"Bearer ([!-+\--~]+)")
#: Endpoints without a permission of their own -> the endpoint whose permission opens them.
_OPENED_BY = {"transaction": "execute"}


@frozen(kw_only=True)
class GateRules:
    """The rules of one configuration for admitting requests."""

    #: None is ``auth: dev_mode``.
    keys: KeyRing | None
    throttle: Throttle = field(factory=lambda: Throttle(()))
    cors: CrossOrigin | None = None
    #: The names that the server answers to under dev_mode; None: any name.
    own_names: OwnNames | None = None


class ApiGate:
    """The gate before all endpoints; its rules can be replaced while the server runs."""

    def __init__(self, rules: GateRules) -> None:
        self._rules = rules

    def replace(self, rules: GateRules) -> None:
        """Apply `rules` to all further requests."""
        self._rules = rules

    def admit(self, request: Request) -> Caller | Deferred[Caller | None] | None:
        """
        Admit a request whose `route` is known, before its body is read; return its caller.

        The caller is noted in the request.  Returns None for a route that is open to everybody,
        and a Deferred only if the key has to be hashed first.

        :raises HttpError: the response to a request that is not admitted; the Deferred may fail
            with one as well.
        """
        route = request.route
        assert route is not None, "the router comes first"
        rules = self._rules
        if not route.needs_key:
            if route.is_throttled:
                rules.throttle.check(request)
            return None
        if rules.keys is None:
            _refuse_other_hosts(request, rules)
            _refuse_other_origins(request, rules)
            return _permitted(request, ANYBODY, rules)
        key = _bearer_key(request, rules)
        caller = rules.keys.known(key)
        if caller is not None:
            return _permitted(request, caller, rules)
        if rules.keys.refuses(key):
            raise _refusal(request, rules, _unknown())
        return Deferred.fromCoroutine(_first_check(request, key, rules.keys, rules))

    def is_stranger(self, request: Request) -> bool:
        """Tell whether keys are required, and the request's caller has shown no valid one."""
        return request.identity is None and self._rules.keys is not None

    def header_lines(self, request: Request) -> bytes:
        """Return the header lines that any response to the request needs: RateLimit and CORS."""
        rules = self._rules
        lines = b"" if request.route is None else rules.throttle.header_lines(request)
        if rules.cors is not None:
            lines += header_lines_of(rules.cors.headers(request))
        return lines

    def preflight(self, request: Request, methods: Sequence[str]) -> Response | None:
        """Answer a CORS preflight, a browser's question whether a page may call; None: it is none.

        `methods` are those of the path that is asked about.

        :raises HttpError: the page may not call; answer with the error.
        """
        cors = self._rules.cors
        return None if cors is None else cors.preflight(request, methods)


def caller_of(request: Request) -> Caller:
    """
    Return the caller of an admitted request.

    :raises Unauthorized: the request's route is open, so nobody was authenticated.
    """
    if request.identity is None:
        raise Unauthorized("this endpoint needs an API key")
    return request.identity


async def _first_check(
    request: Request, key: bytes, keys: KeyRing, rules: GateRules
) -> Caller | None:
    caller = await keys.identify(key, network_of(request.client))
    if caller is None:
        raise _refusal(request, rules, _unknown())
    return _permitted(request, caller, rules)


def _unknown() -> Unauthorized:
    return Unauthorized("the API key is not known")


def _permitted(request: Request, caller: Caller, rules: GateRules) -> Caller:
    # Noted before any refusal, so that the audit log names the caller who was refused.
    request.identity = caller
    route = request.route
    assert route is not None
    if not caller.permits.may(_OPENED_BY.get(route.endpoint, route.endpoint)):
        raise _refusal(request, rules, Forbidden(f"this key may not use {route.path}"))
    if route.is_throttled:
        rules.throttle.check(request)
    return caller


def _refusal(request: Request, rules: GateRules, error: HttpError) -> HttpError:
    """
    Count a request that is refused, and return the error of its response.

    :raises TooManyRequests: a throttle's limit is reached; this is the response then.
    """
    route = request.route
    if route is not None and route.is_throttled:
        rules.throttle.check(request)
    return error


def _bearer_key(request: Request, rules: GateRules) -> bytes:
    try:
        return _key_in(request.headers.get_bytes(_AUTHORIZATION))
    except HttpError as error:
        raise _refusal(request, rules, error) from None


def _key_in(value: bytes | None) -> bytes:
    """Return the key in the value of an Authorization field."""
    usual = None if value is None else _USUAL.fullmatch(value)
    if usual is not None:
        return usual[1]
    if value is None:
        raise Unauthorized("send an API key as Authorization: Bearer KEY")
    scheme, _, key = value.strip().partition(b" ")
    if scheme.lower() != _SCHEME:
        raise Unauthorized("the scheme of Authorization must be Bearer")
    key = key.strip()
    if not key:
        raise Unauthorized("Authorization has no key after Bearer")
    if b" " in key or b"," in key:
        raise InvalidRequest("Authorization must hold one key")
    return key


def _refuse_other_hosts(request: Request, rules: GateRules) -> None:
    """Refuse pages whose host name an attacker lets resolve to this machine; see `hosts`."""
    host = request.headers.get("host")
    if rules.own_names is None or host is None or is_own_host(host, rules.own_names):
        return
    raise _refusal(
        request,
        rules,
        Forbidden(
            "without API keys, this server answers to its own names only; call it by its address, "
            "or give its name in http_server.listen_addr or its certificate"
        ),
    )


def _refuse_other_origins(request: Request, rules: GateRules) -> None:
    """
    Refuse pages of other sites on a server without keys.

    A browser sends the origin of the page with each request.  Without keys, nothing else tells the
    requests of a foreign page from those of the user.
    """
    raw = request.headers.get_bytes(b"origin")
    if raw is None:
        return
    if rules.cors is not None and rules.cors.allows(raw):
        return
    origin = raw.decode("latin-1")
    scheme = "https" if request.is_secure else "http"
    if origin.lower() == f"{scheme}://{request.headers.get('host') or ''}".lower():
        return
    raise _refusal(
        request,
        rules,
        Forbidden(
            "without API keys, pages of other origins are refused; "
            "http_server.cors.allowed_origins lets some in"
        ),
    )
