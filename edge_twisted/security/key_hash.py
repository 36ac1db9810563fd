# SPDX-License-Identifier: Apache-2.0
"""
Hashes of API keys as the configuration stores them: base64 of a PHC string.

    base64("$scrypt$ln=14,r=8,p=1,keyid=3kTMd0aWgrQ$<salt>$<hash>")

The PHC format (https://github.com/P-H-C/phc-string-format) names the algorithm, its cost, the
salt and the hash, the last two in base64 without padding.  ``keyid`` is the public id of the key;
a hash that another tool made has no ``keyid``, so every unknown key must be tried against it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from typing import Literal

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from edge_twisted.security.errors import BadKeyHash

#: Most memory of one check: any stranger can make the server run one.
MAX_MEMORY_BYTES = 256 * 2**20
#: Most passes of one check over its memory, for the same reason.
MAX_PASSES = 16
#: Shorter digests could match by chance; shorter salts could be shared by hashes.
MIN_SALT_BYTES = 8
MIN_DIGEST_BYTES = 16
MAX_TEXT_LENGTH = 1024

_PHC = re.compile(
    r"\$(?P<algorithm>[a-z0-9-]+)(?:\$v=(?P<version>\d{1,4}))?\$(?P<parameters>[^$]+)"
    r"\$(?P<salt>[^$]+)\$(?P<digest>[^$]+)",
    re.ASCII,
)
_PARAMETER = re.compile(r"(?P<name>[a-z]{1,8})=(?P<value>[A-Za-z0-9/+.-]{1,64})", re.ASCII)
Algorithm = Literal["scrypt", "argon2id"]
_ALGORITHMS: Mapping[str, Algorithm] = {"scrypt": "scrypt", "argon2id": "argon2id"}
_NAMES: Mapping[Algorithm, tuple[str, ...]] = {
    "scrypt": ("ln", "r", "p"),
    "argon2id": ("m", "t", "p"),
}
#: The form of ids that `api_keys` makes; no key can have another one.
_KEY_ID = re.compile(r"[0-9A-Za-z]{11}", re.ASCII)


@frozen(kw_only=True)
class KeyHash:
    """One parsed hash.  `cost` has ln, r, p for scrypt and m (KiB), t, p for argon2id."""

    algorithm: Algorithm
    cost: tuple[int, int, int]
    public_id: str | None
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> KeyHash:
        """Parse the text of a hash: a PHC string (`$scrypt$...` or `$argon2id$...`) in base64.

        :raises BadKeyHash: `text` is no valid hash; the reason has the remedy, never the text.
        """
        found = _PHC.fullmatch(_decoded(text.strip()))
        if found is None:
            raise BadKeyHash("is no PHC string in base64; take what `api-key generate` prints")
        algorithm = _ALGORITHMS.get(found["algorithm"])
        if algorithm is None:
            raise BadKeyHash("is neither a scrypt nor an argon2id hash")
        if (found["version"] or "") != ("19" if algorithm == "argon2id" else ""):
            raise BadKeyHash("has a version that is not supported; argon2id is taken with v=19")
        parameters = _parameters(found["parameters"])
        public_id = parameters.get("keyid")
        if public_id is not None and not _KEY_ID.fullmatch(public_id):
            raise BadKeyHash("has a keyid that no key of ours carries")
        parsed = cls(
            algorithm=algorithm,
            cost=_cost(algorithm, parameters),
            public_id=public_id,
            salt=_field(found["salt"], "salt", MIN_SALT_BYTES),
            digest=_field(found["digest"], "hash", MIN_DIGEST_BYTES),
        )
        parsed._check_cost()
        return parsed

    @property
    def credential(self) -> str:
        """What two hashes of one key have in common: the public id, else the whole text."""
        return self.public_id or self.text

    @property
    def text(self) -> str:
        """The hash as the configuration stores it: a PHC string in base64."""
        version = "$v=19" if self.algorithm == "argon2id" else ""
        cost = ",".join(f"{n}={c}" for n, c in zip(_NAMES[self.algorithm], self.cost, strict=True))
        key_id = f",keyid={self.public_id}" if self.public_id else ""
        tail = f"{_unpadded(self.salt)}${_unpadded(self.digest)}"
        phc = f"${self.algorithm}{version}${cost}{key_id}${tail}"
        return base64.b64encode(phc.encode("ascii")).decode("ascii")

    def matches(self, key: bytes) -> bool:
        """Tell whether this is the hash of `key`; slow (tens of ms), not for the reactor thread."""
        derived = derive(self.algorithm, self.cost, key, self.salt, len(self.digest))
        return hmac.compare_digest(derived, self.digest)

    def _check_cost(self) -> None:
        first, second, third = self.cost
        if self.algorithm == "scrypt":
            memory = 128 * 2 ** min(first, 40) * second
            passes = third
        else:
            memory, passes = 1024 * first, second
        if memory > MAX_MEMORY_BYTES or passes > MAX_PASSES or third > MAX_PASSES:
            raise BadKeyHash("costs more than 256 MiB or 16 passes to check; make a cheaper one")
        try:
            _function(self.algorithm, self.cost, self.salt, len(self.digest))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BadKeyHash(f"cannot be checked here: {error}") from None


def derive(
    algorithm: Algorithm,
    cost: tuple[int, int, int],
    key: bytes,
    salt: bytes,
    length: int,
) -> bytes:
    """Derive `length` bytes from `key` by scrypt or Argon2id; takes tens of ms, on purpose.

    :param cost: (ln, r, p) for scrypt, (m in KiB, t, p) for Argon2id.
    """
    return _function(algorithm, cost, salt, length).derive(key)


def _function(
    algorithm: Algorithm, cost: tuple[int, int, int], salt: bytes, length: int
) -> Scrypt | Argon2id:
    first, second, third = cost
    if algorithm == "scrypt":
        return Scrypt(salt=salt, length=length, n=2**first, r=second, p=third)
    return Argon2id(salt=salt, length=length, memory_cost=first, iterations=second, lanes=third)


def _decoded(text: str) -> str:
    if len(text) > MAX_TEXT_LENGTH:
        raise BadKeyHash(f"is longer than {MAX_TEXT_LENGTH} characters")
    if text.startswith("edge_"):
        raise BadKeyHash("is a private key; only its `Secure Public Hash` belongs here")
    if text.startswith("$"):
        raise BadKeyHash("is a bare PHC string; encode it in base64")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadKeyHash("is not base64; take what `api-key generate` prints") from None


def _parameters(text: str) -> Mapping[str, str]:
    parameters: dict[str, str] = {}
    for part in text.split(","):
        found = _PARAMETER.fullmatch(part)
        if found is None or found["name"] in parameters:
            raise BadKeyHash("has malformed parameters")
        parameters[found["name"]] = found["value"]
    return parameters


def _cost(algorithm: Algorithm, parameters: Mapping[str, str]) -> tuple[int, int, int]:
    names = _NAMES[algorithm]
    if set(parameters) - {"keyid"} != set(names):
        raise BadKeyHash(f"must have the parameters {', '.join(names)}")
    values = [parameters[name] for name in names]
    if not all(value.isdecimal() and len(value) < 10 and int(value) > 0 for value in values):
        raise BadKeyHash(f"must have positive whole numbers for {', '.join(names)}")
    first, second, third = (int(value) for value in values)
    return first, second, third


def _field(text: str, name: str, least: int) -> bytes:
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadKeyHash(f"has a {name} that is not base64") from None
    if not least <= len(value) <= 64:
        raise BadKeyHash(f"has a {name} of {len(value)} bytes; {least} to 64 are taken")
    return value


def _unpadded(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii").rstrip("=")
