# SPDX-License-Identifier: Apache-2.0
"""
What a configuration is checked for by other rooms, handed in so that this one stays below them.

The start, a reload and `config validate` hand in the same checks, so that they cannot disagree.
A check creates nothing and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from edge_twisted.config.model import TlsFiles
from edge_twisted.config.yaml.nodes import Plain


@frozen(kw_only=True)
class QueryProblem:
    """Why a DQL text is refused, and where in that text, counted from 1."""

    reason: str
    line: int = 1
    column: int = 1


@frozen(kw_only=True)
class CertificateFinding:
    """What is wrong, or merely doubtful, with the file at the key `role` of `tls_config`."""

    role: str
    what: str
    right: str
    is_warning: bool = False


@frozen(kw_only=True)
class CredentialForm:
    """
    What the hash of an API key turns out to be.

    `reason` says why it is no hash of ours; `same_key` is equal for two hashes of one key, as far
    as their texts tell.  Neither quotes the hash.
    """

    reason: str | None = None
    same_key: str | None = None


@frozen(kw_only=True)
class Checks:
    """The checks that other rooms offer; one that is not handed in accepts everything."""

    #: A subscription's query with its arguments.
    subscription: Callable[[str, Mapping[str, Plain]], Sequence[QueryProblem]] = lambda *_: ()
    #: The condition of a permission, and the name of the collection that it is on.
    condition: Callable[[str, str], Sequence[QueryProblem]] = lambda *_: ()
    #: The hash of an API key.
    credential: Callable[[str], CredentialForm] = lambda text: CredentialForm(same_key=text)
    #: A certificate with its key, for the host that is listened on; None is a unix socket.
    certificate: Callable[[TlsFiles, str | None], Sequence[CertificateFinding]] = lambda *_: ()
    #: A folder that will be written to, made if need be; returns why it cannot be.
    folder: Callable[[Path], str | None] = lambda _: None
    #: Whether every user of the machine gets at a file or folder.
    exposed: Callable[[Path], bool] = lambda _: False
    #: The system's folder for temporary ones.
    temporary_folder: Callable[[], str | None] = lambda: None
    #: A unix socket that will be listened on.
    unix_socket: Callable[[Path], str | None] = lambda _: None
