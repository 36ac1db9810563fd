# SPDX-License-Identifier: Apache-2.0
"""
Interface of the checks of other rooms: queries, keys, certificates, folders.

Callers hand the checks in, so that this room imports none of the rooms above it.  The start, a
reload and `config validate` hand in the same checks, so that they cannot disagree.  A check creates
nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from edge_twisted.config.model import TlsFiles
from edge_twisted.config.yaml.nodes import Plain


@frozen(kw_only=True)
class QueryProblem:
    """Reason why a DQL text is refused, and the place in that text, counted from 1."""

    reason: str
    line: int = 1
    column: int = 1


@frozen(kw_only=True)
class CertificateFinding:
    """Error in, or warning about, the file at the key `role` (cert, key) of `tls_config`."""

    role: str
    what: str
    right: str
    is_warning: bool = False


@frozen(kw_only=True)
class CredentialForm:
    """
    Result of parsing the hash of an API key.

    `reason` says why the text is no valid hash; None: it is valid.  `same_key` is equal for two
    hashes of one key, as far as their texts tell.  Neither quotes the hash.
    """

    reason: str | None = None
    same_key: str | None = None


@frozen(kw_only=True)
class Checks:
    """Functions that check values for other rooms; a check that is not handed in accepts all."""

    #: A subscription's query with its arguments.
    subscription: Callable[[str, Mapping[str, Plain]], Sequence[QueryProblem]] = lambda *_: ()
    #: The condition of a permission, and the name of the collection that it is on.
    condition: Callable[[str, str], Sequence[QueryProblem]] = lambda *_: ()
    #: The hash of an API key.
    credential: Callable[[str], CredentialForm] = lambda text: CredentialForm(same_key=text)
    #: A certificate with its key, for the host that is listened on; None is a unix socket.
    certificate: Callable[[TlsFiles, str | None], Sequence[CertificateFinding]] = lambda *_: ()
    #: A folder that the server will write to, made if need be; returns why that cannot work.
    folder: Callable[[Path], str | None] = lambda _: None
    #: Whether every user of the machine can read a file, or enter a folder.
    exposed: Callable[[Path], bool] = lambda _: False
    #: The system's folder for temporary folders; returns why it cannot be used.
    temporary_folder: Callable[[], str | None] = lambda: None
    #: A unix socket to listen on; returns why that cannot work.
    unix_socket: Callable[[Path], str | None] = lambda _: None
