# SPDX-License-Identifier: Apache-2.0
"""A program that has the secret of a mesh, and says to its servers whatever a test wants."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_twisted.config.model import DatabaseConfig, Secret, SmallPeerOnly, TemporaryFolder
from edge_twisted.documents.clock import timestamp
from edge_twisted.documents.json_text import to_text
from edge_twisted.documents.values import Value, sort_key
from edge_twisted.documents.versions import SiteId
from edge_twisted.mesh.trust.authority import Authority, authority_of, database_hash
from edge_twisted.mesh.trust.certificates import authority_certificate, issue
from edge_twisted.mesh.trust.identity import PeerIdentity
from edge_twisted.mesh.wire import messages as m
from edge_twisted.mesh.wire.frames import MAX_MESSAGE_BYTES, FrameReader, FrameWriter
from edge_twisted.mesh.wire.items import Whole
from tests.system.fixtures import DB_ID

M = TypeVar("M")

TIMEOUT_SECONDS = 60.0
#: A subscription to what is empty: it is streamed from the beginning.
PREY = "SELECT * FROM prey"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Member:
    """A link to the mesh port of a server; nothing has been said yet."""

    def __init__(self, port: int, token: str, folder: Path, address: str = "127.0.0.1") -> None:
        self.identity = PeerIdentity.of(ec.generate_private_key(ec.SECP256R1()))
        self.site = SiteId(os.urandom(16))
        self.reader, self.writer = FrameReader(), FrameWriter()
        self.reader.limit_bytes = MAX_MESSAGE_BYTES
        #: What the server said of itself, once we have met.
        self.theirs: m.Hello
        #: Where the last BATCH ended.
        self.lsn = 0
        plain = socket.create_connection(
            ("127.0.0.1", port), timeout=TIMEOUT_SECONDS, source_address=(address, 0)
        )
        self._socket = _context(token, self.identity, folder).wrap_socket(plain)
        self._messages = self._read()

    # -- speaking

    def send(self, message: m.Message) -> None:
        """Send one message."""
        self.raw(self.writer.message(m.encode(message)))

    def raw(self, data: bytes) -> None:
        """Send bytes; what the server does not take any more is lost."""
        with suppress(OSError):
            self.raw_or_fail(data)

    def raw_or_fail(self, data: bytes) -> None:
        """:raises OSError: the link has ended."""
        self._socket.sendall(data)

    def drain(self, seconds: float) -> None:
        """
        Throw away what the server has said, and says in so many seconds.

        :raises OSError: the link has ended.
        """
        while select.select([self._socket], [], [], seconds)[0]:
            if not self._socket.recv(1 << 16):
                raise ConnectionResetError("the server has closed")

    def hello(self, **changes: object) -> None:
        """Say hello, with some fields changed."""
        said = m.Hello(
            [1],
            database_hash(DB_ID),
            self.site,
            1,
            self.identity.peer_key,
            "a member",
            timestamp(now_ms()),
            1 << 20,
        )
        self.send(msgspec.structs.replace(said, **changes))

    def meet(self, **changes: object) -> m.Subscribe:
        """
        Say hello and wait until the server subscribes to `PREY`; return that.

        :param changes: see `hello`.
        """
        self.hello(**changes)
        self.theirs = self.wait_for(m.Hello)
        while True:
            found = self.wait_for(m.Subscribe)
            if found.query == PREY:
                return found

    def batch(self, number: int, *items: Whole, lsn: int | None = None) -> m.Batch:
        """Return the next batch of a stream, with whole documents."""
        self.lsn = self.lsn + 1 if lsn is None else lsn
        return m.Batch(number, m.Items(whole=list(items)), self.lsn, False)

    def document(self, id_: str, ahead_ms: int = 0, **fields: Value) -> Whole:
        """Return a document that this member wrote once."""
        return Whole(
            sort_key(id_),
            to_text({"_id": id_, **fields}),
            written_once(self.site, 1, 1, now_ms() + ahead_ms),
        )

    # -- hearing

    def wait_for(self, kind: type[M]) -> M:
        """Return the next message of a kind."""
        for message in self._messages:
            if isinstance(message, kind):
                return message
        raise AssertionError(f"the link ended without {kind.__name__}")

    def end(self) -> str:
        """Return the reason of the server's BYE, empty if the link ends without one."""
        for message in self._messages:
            if isinstance(message, m.Bye):
                return message.reason
        return ""

    def close(self) -> None:
        """Leave without a word."""
        self._socket.close()

    def _read(self) -> Iterator[m.Message]:
        while True:
            for payload in self.reader.messages():
                message = m.decode(payload)
                if message is not None:
                    yield message
            try:
                data = self._socket.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                return
            if not data:
                return
            self.reader.feed(data)


def written_once(site: bytes, epoch: int, sequence: int, at_ms: int) -> bytes:
    """Return the merge state of a document that was written by one write."""
    return msgspec.msgpack.encode([site, epoch, sequence, timestamp(at_ms)])


def _context(token: str, identity: PeerIdentity, folder: Path) -> ssl.SSLContext:
    auth = SmallPeerOnly(offline_license_token=Secret(token), key_b64=None)
    authority = authority_of(
        DatabaseConfig(db_id=DB_ID, device_name="", auth=auth, persistence_dir=TemporaryFolder())
    )
    assert isinstance(authority, Authority)
    certificate = issue(authority.key, identity.key.public_key(), datetime.now(UTC))
    path = folder / "member.pem"
    key = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    anchor = authority_certificate(authority.key).public_bytes(Encoding.DER)
    context.load_verify_locations(cadata=anchor)
    context.load_cert_chain(path)
    return context
