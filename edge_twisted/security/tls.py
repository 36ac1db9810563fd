# SPDX-License-Identifier: Apache-2.0
"""TLS on a listener, with a certificate that can be replaced while connections live."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from edge_twisted.security.certificates import Certificate


@implementer(IOpenSSLServerConnectionCreator)
class ReloadableTlsContext:
    """
    Gives each new connection the newest certificate; connections keep the one they began with.

    A context in use is never changed (pyOpenSSL forbids it): a new certificate brings a new
    context, and taking it over is one assignment.
    """

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """What new connections get."""
        return self._certificate

    def use(self, certificate: Certificate) -> None:
        """Give new connections this certificate from now on."""
        self._certificate = certificate

    # -- IOpenSSLServerConnectionCreator

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._certificate.context)


def tls_factory(
    tls: ReloadableTlsContext, factory: IProtocolFactory, clock: IReactorTime
) -> IProtocolFactory:
    """Return a factory for the listener whose connections speak TLS, and `factory` within it."""
    return TLSMemoryBIOFactory(tls, False, factory, clock)
