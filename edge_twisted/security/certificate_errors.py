# SPDX-License-Identifier: Apache-2.0
"""
What can be wrong with a certificate or its key: one class for each error code.

The classes are a table of codes and texts.  A text is the file, what is wrong with it, ``; `` and
the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from edge_twisted.errors import Culprit, EdgeError

#: The file that a problem is about, by its key in `tls_config`.
Role = Literal["cert", "key"]
#: What each file should hold, for messages.
NOUNS: Mapping[Role, str] = {"cert": "certificate", "key": "private key"}


class CertificateProblem(EdgeError):
    """
    Why a certificate and its key cannot be served.

    `role` and `path` name the file to look at.  `reason` is what a kind of problem leaves open:
    see the kind's `text`.
    """

    code = "bad_certificate"
    culprit = Culprit.OPERATOR
    #: The message, with `path`, `noun` (what the file should hold) and `reason`.
    text: ClassVar[str]
    #: Whether the pair would be served on another day, or by a clock that is right.
    is_about_dates: ClassVar[bool] = False

    def __init__(self, role: Role, path: Path, reason: str = "") -> None:
        super().__init__(role, path, reason)
        self.role = role
        self.path = path
        self.reason = reason

    def is_over(self, now: datetime) -> bool:
        """Tell whether the problem was one of dates and is over at `now`, an aware time."""
        return False

    def __str__(self) -> str:
        return self.text.format(path=self.path, noun=NOUNS[self.role], reason=self.reason)


class FileMissing(CertificateProblem):
    """There is no such file; `reason` says that, or where a symbolic link points to."""

    code = "certificate_file_missing"
    text = "{path} {reason}; put the {noun} there or correct the path"


class FileUnreadable(CertificateProblem):
    """The file is there and cannot be read; `reason` names the permission that is needed."""

    code = "certificate_file_unreadable"
    text = "{path} cannot be read: {reason}"


class FileChanging(CertificateProblem):
    """The files changed while they were read; the caller should read them again a moment later."""

    code = "certificate_file_changing"
    text = "{path} is being written at this moment; it is read again when it is complete"


class NotPem(CertificateProblem):
    """The file holds something else; `reason` says what it looks like and how to convert it."""

    code = "certificate_not_pem"
    text = "{path} holds no PEM {noun}: {reason}"


class KeyEncrypted(CertificateProblem):
    """The key needs a passphrase, and nobody is there to type it when the server starts."""

    code = "certificate_key_encrypted"
    text = (
        "{path} is encrypted, and a server cannot ask for the passphrase; decrypt it with "
        "`openssl pkey -in {path} -out NEW` and keep the new file at mode 0600"
    )


class KeyMismatch(CertificateProblem):
    """The key is not the certificate's; `reason` says whose it is, and what to do."""

    code = "certificate_key_mismatch"
    text = "{path} is {reason}"


class KeyUnusable(CertificateProblem):
    """A key or certificate that TLS cannot work with."""

    code = "certificate_unusable"
    text = "{path} cannot be used for TLS: {reason}; use an EC P-256 or RSA key"


class CertificateExpired(CertificateProblem):
    """The certificate's time was over at `end`, or this machine's clock is ahead."""

    code = "certificate_expired"
    text = "{path} holds a certificate that expired at {reason}; renew it"
    is_about_dates = True

    def __init__(self, role: Role, path: Path, end: datetime) -> None:
        super().__init__(role, path, _utc(end))
        self.end = end

    def is_over(self, now: datetime) -> bool:
        """Return whether the certificate is valid at `now` after all: the clock was set back."""
        return now <= self.end


class CertificateNotYetValid(CertificateProblem):
    """The certificate is valid from `begin` on; or this machine's clock, `now`, is behind."""

    code = "certificate_not_yet_valid"
    text = "{path} holds a certificate that is not valid before {reason}"
    is_about_dates = True

    def __init__(self, role: Role, path: Path, begin: datetime, now: datetime) -> None:
        remedy = f"wait, or set this machine's clock, which says {_utc(now)}"
        super().__init__(role, path, f"{_utc(begin)}; {remedy}")
        self.begin = begin

    def is_over(self, now: datetime) -> bool:
        """Return whether the certificate is valid at `now`, an aware time."""
        return now >= self.begin


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
