# SPDX-License-Identifier: Apache-2.0
"""Errors of listening on an address, each with its remedy."""

from __future__ import annotations

import errno
import os

from edge_twisted.errors import Culprit, EdgeError


class ListenFailed(EdgeError):
    """Nothing listens on `address`; the server must not go on as if it did."""

    code = "listen_failed"
    culprit = Culprit.OPERATOR

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot listen on {self.address}: {self.reason}"


def tcp_failure(host: str, port: int, error: OSError) -> ListenFailed:
    """Return the failure to listen that the system's `error` stands for, with a remedy."""
    match error.errno:
        case errno.EADDRINUSE:
            reason = (
                f"port {port} is in use; stop what listens there (`ss -ltnp 'sport = :{port}'` "
                "names it) or choose another port"
            )
        case errno.EACCES | errno.EPERM:
            reason = (
                f"this process may not use port {port}; give it the capability "
                "CAP_NET_BIND_SERVICE or choose a port from 1024 on"
            )
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            reason = (
                f"this machine has no address {host}; choose one of its own (`ip address`), or "
                "0.0.0.0 or [::] for all"
            )
        case number:
            reason = os.strerror(number) if number else str(error)
    return ListenFailed(tcp_text(host, port), reason)


def tcp_text(host: str, port: int) -> str:
    """Return host and port as a configuration has them, IPv6 addresses in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
