# SPDX-License-Identifier: Apache-2.0
"""Keys and their hashes: made, checked, and refused with a reason that shows no secret."""

from __future__ import annotations

import base64

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from edge_twisted.security.api_keys import generate, public_id_of, verify
from edge_twisted.security.errors import BadKeyHash
from edge_twisted.security.key_hash import KeyHash

GENERATED = generate()


def encoded(phc: str) -> str:
    return base64.b64encode(phc.encode()).decode()


def unpadded(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def argon2id(key: bytes) -> str:
    salt = b"s" * 16
    digest = Argon2id(salt=salt, length=32, memory_cost=64, iterations=1, lanes=1).derive(key)
    return encoded(f"$argon2id$v=19$m=64,t=1,p=1${unpadded(salt)}${unpadded(digest)}")


def test_a_generated_key_matches_its_hash_and_no_other() -> None:
    other = generate()
    assert verify(GENERATED.key, GENERATED.hash)
    assert not verify(other.key, GENERATED.hash)
    assert not verify(GENERATED.key, other.hash)
    assert not verify("", GENERATED.hash)
    assert not verify("\udcff", GENERATED.hash)


def test_the_hash_is_base64_of_a_scrypt_phc_string_that_any_tool_can_check() -> None:
    phc = base64.b64decode(GENERATED.hash, validate=True).decode()
    _, algorithm, parameters, salt, digest = phc.split("$")
    assert algorithm == "scrypt"
    cost = dict(part.split("=") for part in parameters.split(","))
    scrypt = Scrypt(
        salt=base64.b64decode(salt + "=="),
        length=32,
        n=2 ** int(cost["ln"]),
        r=int(cost["r"]),
        p=int(cost["p"]),
    )
    scrypt.verify(GENERATED.key.encode(), base64.b64decode(digest + "="))
    assert GENERATED.key.split("_")[1] == cost["keyid"]


def test_the_same_entropy_gives_the_same_key() -> None:
    def entropy(count: int) -> bytes:
        return b"\x07" * count

    assert generate(entropy) == generate(entropy)
    assert generate(entropy).key != GENERATED.key


def test_repr_shows_no_key() -> None:
    assert GENERATED.key not in repr(GENERATED)


def test_the_public_id_is_a_checksum_of_the_key() -> None:
    key = GENERATED.key.encode()
    assert public_id_of(key) == KeyHash.parse(GENERATED.hash).public_id
    prefix, public_id, _ = GENERATED.key.split("_")
    other_secret = generate().key.split("_")[2]
    assert public_id_of(f"{prefix}_{public_id}_{other_secret}".encode()) is None
    assert public_id_of(key[:-1]) is None
    assert public_id_of(key + b"\n") is None
    assert public_id_of(b"") is None


def test_parsing_and_writing_a_hash_are_inverse() -> None:
    for text in (GENERATED.hash, argon2id(b"k")):
        assert KeyHash.parse(text).text == text
    assert KeyHash.parse(f" {GENERATED.hash.rstrip('=')}\n").text == GENERATED.hash


def test_two_hashes_of_one_key_are_one_credential() -> None:
    parsed = KeyHash.parse(GENERATED.hash)
    again = evolve(parsed, salt=b"another salt....")
    assert again.credential == parsed.credential != KeyHash.parse(generate().hash).credential
    assert KeyHash.parse(argon2id(b"a")).credential != KeyHash.parse(argon2id(b"b")).credential


def test_a_foreign_argon2id_hash_is_taken_for_any_key() -> None:
    assert verify("a key of another product", argon2id(b"a key of another product"))
    assert not verify("another key", argon2id(b"a key of another product"))
    assert KeyHash.parse(argon2id(b"k")).public_id is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no PHC string"),
        ("not base64!", "not base64"),
        (base64.b64encode(b"\xff\xfe").decode(), "not base64"),
        pytest.param(GENERATED.key, "is a private key", id="a private key"),
        pytest.param(
            base64.b64decode(GENERATED.hash).decode(), "bare PHC string", id="a bare PHC string"
        ),
        ("A" * 2000, "longer than"),
        (encoded("$bcrypt$ln=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA"), "neither a scrypt"),
        (encoded("$argon2i$v=19$m=64,t=1,p=1$c2Fs$c2Fs"), "neither a scrypt"),
        (encoded("$argon2id$v=16$m=64,t=1,p=1$c2Fs$c2Fs"), "version"),
        (encoded("$argon2id$m=64,t=1,p=1$c2Fs$c2Fs"), "version"),
        (encoded("$scrypt$v=19$ln=10,r=8,p=1$c2Fs$c2Fs"), "version"),
        (encoded("$scrypt$ln=10,r=8$c2Fs$c2Fs"), "parameters ln, r, p"),
        (encoded("$scrypt$ln=10,r=8,p=1,x=1$c2Fs$c2Fs"), "parameters ln, r, p"),
        (encoded("$scrypt$ln=10,r=8,p=1,p=1$c2Fs$c2Fs"), "malformed"),
        (encoded("$scrypt$ln=10,r=8,p=-1$c2Fs$c2Fs"), "whole numbers"),
        (encoded("$scrypt$ln=ten,r=8,p=1$c2Fs$c2Fs"), "whole numbers"),
        (encoded("$scrypt$ln=10,r=8,p=1,keyid=short$c2Fs$c2Fs"), "keyid"),
        (encoded("$scrypt$ln=10,r=8,p=1$c2Fs$c2FsdHNhbHRzYWx0c2FsdA"), "salt of 3 bytes"),
        (encoded("$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ$c2Fs"), "hash of 3 bytes"),
        (encoded("$scrypt$ln=10,r=8,p=1$*$c2Fs"), "salt that is not base64"),
        (
            encoded(f"$scrypt$ln=30,r=8,p=1${unpadded(b's' * 16)}${unpadded(b'd' * 32)}"),
            "256 MiB",
        ),
        (
            encoded(f"$scrypt$ln=999999999,r=8,p=1${unpadded(b's' * 16)}${unpadded(b'd' * 32)}"),
            "256 MiB",
        ),
        (
            encoded(
                f"$argon2id$v=19$m=4194304,t=1,p=1${unpadded(b's' * 16)}${unpadded(b'd' * 32)}"
            ),
            "256 MiB",
        ),
        (
            encoded(f"$argon2id$v=19$m=64,t=999,p=1${unpadded(b's' * 16)}${unpadded(b'd' * 32)}"),
            "16 passes",
        ),
        (
            encoded(f"$argon2id$v=19$m=1,t=1,p=1${unpadded(b's' * 16)}${unpadded(b'd' * 32)}"),
            "cannot be checked here",
        ),
    ],
)
def test_what_is_no_hash_of_ours_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(BadKeyHash, match=reason) as caught:
        KeyHash.parse(text)
    assert not text or text not in str(caught.value)
