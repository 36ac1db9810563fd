# SPDX-License-Identifier: Apache-2.0
"""
What can be wrong with a certificate or its key: one class per kind.

The text of each is what is wrong, with the file's name, then ``; `` and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from edge_twisted.errors import EdgeError

#: Which of the two files a problem is about; the names of the configuration's keys.
Role = Literal["cert", "key"]
#: What is in it.
NOUNS: Mapping[Role, str] = {"cert": "certificate", "key": "private key"}


class CertificateProblem(EdgeError):
    """
    Why a certificate and its key cannot be served; `path` is the file to look at.

    `reason`, where a kind has one, says more and what to do.
    """

    code = "bad_certificate"

    def __init__(self, role: Role, path: Path, reason: str = "") -> None:
        super().__init__(role, path, reason)
        self.role = role
        self.path = path
        self.reason = reason

    @property
    def noun(self) -> str:
        """What the file should hold, for messages."""
        return NOUNS[self.role]


class FileMissing(CertificateProblem):
    """There is no such file; `target` is where a symbolic link points to, if it is one."""

    code = "certificate_file_missing"

    def __init__(self, role: Role, path: Path, target: Path | None = None) -> None:
        super().__init__(role, path)
        self.target = target

    def __str__(self) -> str:
        what = f"points to {self.target}, which does" if self.target else "does"
        return f"{self.path} {what} not exist; put the {self.noun} there or correct the path"


class FileUnreadable(CertificateProblem):
    """The file is there and cannot be read; `reason` names the permission that is needed."""

    code = "certificate_file_unreadable"

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


class FileChanging(CertificateProblem):
    """The files changed while they were read; the caller should read them again a moment later."""

    code = "certificate_file_changing"

    def __str__(self) -> str:
        return f"{self.path} is being written at this moment; it is read again when it is complete"


class NotPem(CertificateProblem):
    """The file holds something else; `reason` says what it looks like and how to convert it."""

    code = "certificate_not_pem"

    def __str__(self) -> str:
        return f"{self.path} holds no PEM {self.noun}: {self.reason}"


class KeyEncrypted(CertificateProblem):
    """The key needs a passphrase, and nobody is there to type it when the server starts."""

    code = "certificate_key_encrypted"

    def __str__(self) -> str:
        return (
            f"{self.path} is encrypted, and a server cannot ask for the passphrase; decrypt it "
            f"with `openssl pkey -in {self.path} -out NEW` and keep the new file at mode 0600"
        )


class KeyMismatch(CertificateProblem):
    """The key is not the certificate's; `position` is where in the file its certificate is."""

    code = "certificate_key_mismatch"

    def __init__(self, role: Role, path: Path, cert: Path, position: int | None = None) -> None:
        super().__init__(role, path)
        self.cert = cert
        self.position = position

    def __str__(self) -> str:
        if self.position is not None:
            return (
                f"{self.path} is the key of certificate {self.position} in {self.cert}, not of "
                "the first; put the server's own certificate first, then its issuers"
            )
        return (
            f"{self.path} is not the key of the certificate in {self.cert}; take the two files "
            "that were made together"
        )


class KeyUnusable(CertificateProblem):
    """A key or certificate that TLS cannot work with."""

    code = "certificate_unusable"

    def __str__(self) -> str:
        return f"{self.path} cannot be used for TLS: {self.reason}; use an EC P-256 or RSA key"


class DateProblem:
    """What is wrong today with a pair that is served on another day; or the clock is wrong."""

    def is_over(self, now: datetime) -> bool:
        """Tell whether this is no problem any more at another time."""
        raise NotImplementedError


class CertificateExpired(DateProblem, CertificateProblem):
    """The certificate's time is over, or this machine's clock is ahead."""

    code = "certificate_expired"

    def __init__(self, role: Role, path: Path, end: datetime) -> None:
        super().__init__(role, path)
        self.end = end

    def is_over(self, now: datetime) -> bool:
        """See `DateProblem.is_over`."""
        return now <= self.end

    def __str__(self) -> str:
        return f"{self.path} holds a certificate that expired at {_utc(self.end)}; renew it"


class CertificateNotYetValid(DateProblem, CertificateProblem):
    """The certificate's time has not come, or this machine's clock is behind."""

    code = "certificate_not_yet_valid"

    def __init__(self, role: Role, path: Path, begin: datetime, now: datetime) -> None:
        super().__init__(role, path)
        self.begin = begin
        self.now = now

    def is_over(self, now: datetime) -> bool:
        """See `DateProblem.is_over`."""
        return now >= self.begin

    def __str__(self) -> str:
        return (
            f"{self.path} holds a certificate that is not valid before {_utc(self.begin)}; wait, "
            f"or set this machine's clock, which says {_utc(self.now)}"
        )


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
