# SPDX-License-Identifier: Apache-2.0
"""What holds for every input: hashes, certificates and permissions."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_twisted.config.model import IdentityConfig, Permissions, TlsFiles
from edge_twisted.security.api_keys import generate, public_id_of
from edge_twisted.security.certificates import examine
from edge_twisted.security.errors import BadKeyHash
from edge_twisted.security.key_hash import KeyHash
from edge_twisted.security.pem_content import blocks
from edge_twisted.security.pem_files import PemPair
from edge_twisted.security.permissions import CHANGING, ENDPOINTS, ORDINARY, Permits, Rule
from tests.support.certificates import NOW, issue
from tests.support.strategies_security import COLLECTIONS, damaged, permission_sets

KEY = generate(lambda count: bytes(range(count)))
PAIR = issue(issuer=issue(name="root", names=()))
FILES = TlsFiles(cert=Path("/cert.pem"), key=Path("/key.pem"))
ARMOR = st.sampled_from([True, True, True, False])


def pem(label: bytes, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(der), label)


# -- hashes and keys


@given(st.text() | damaged(base64.b64decode(KEY.hash)).map(lambda b: base64.b64encode(b).decode()))
def test_a_text_is_a_hash_or_refused(text: str) -> None:
    try:
        parsed = KeyHash.parse(text)
    except BadKeyHash as error:
        assert str(error)
        return
    assert KeyHash.parse(parsed.text) == parsed


@given(damaged(KEY.key.encode()) | st.binary(max_size=80))
def test_a_damaged_key_has_no_public_id(key: bytes) -> None:
    assert (public_id_of(key) is not None) == (key == KEY.key.encode())


# -- certificates


@given(st.data(), ARMOR, ARMOR)
@settings(max_examples=200, deadline=None)
def test_damage_gives_a_problem_or_none_but_never_an_error(
    data: st.DataObject, cert_in_armor: bool, key_in_armor: bool
) -> None:
    """In armor the damage is in what the PEM holds, otherwise in the file as it is."""
    cert = [each.public_bytes(Encoding.DER) for each in PAIR.chain]
    key = PAIR.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    position = data.draw(st.integers(0, len(cert)))
    if position < len(cert):
        cert[position] = data.draw(damaged(cert[position]))
    else:
        key = data.draw(damaged(key))
    cert_pem = b"".join(pem(b"CERTIFICATE", each) for each in cert)
    key_pem = pem(b"PRIVATE KEY", key)
    if not cert_in_armor:
        cert_pem = data.draw(damaged(cert_pem))
    if not key_in_armor:
        key_pem = data.draw(damaged(key_pem))
    found = examine(
        PemPair(cert=cert_pem, key=key_pem, state=(None, None)), FILES, "localhost", NOW
    )
    assert (found.certificate is None) == bool(found.problems)
    assert all(str(problem).startswith(("/cert.pem", "/key.pem")) for problem in found.problems)
    if found.certificate:
        assert found.certificate.names is not None


@given(st.binary(max_size=400) | damaged(PAIR.cert_pem))
def test_blocks_are_parts_of_the_file(data: bytes) -> None:
    for label, block in blocks(data):
        assert block[:-1] in data
        assert block.startswith(b"-----BEGIN %b-----" % label.encode())


# -- permissions


def permits(sets: list[Permissions]) -> Permits:
    return Permits.of(IdentityConfig(id="till", api_key_hash="", permissions=tuple(sets)))


def permitted(rule: Rule) -> set[str]:
    """The documents that a rule lets through, by the conditions that they meet."""
    if isinstance(rule, bool):
        return {"any", "owner = :identity", "done", "public = true"} if rule else set()
    return set(rule)


@given(st.lists(permission_sets(), max_size=4))
@settings(max_examples=200)
def test_several_sets_permit_what_at_least_one_of_them_permits(sets: list[Permissions]) -> None:
    together, alone = permits(sets), [permits([each]) for each in sets]
    for endpoint in ENDPOINTS:
        assert together.may(endpoint) == any(each.may(endpoint) for each in alone)
        access, accesses = together.access(endpoint), [each.access(endpoint) for each in alone]
        for verb in ORDINARY | {"create_index", "alter_system"}:
            assert access.may_verb(verb) == any(each.may_verb(verb) for each in accesses)
        for name in (*COLLECTIONS, "other", "system:dual", "system:vitals"):
            for side in ("read", "write"):
                expected = [permitted(getattr(each, side)(name)) for each in accesses]
                assert permitted(getattr(access, side)(name)) == set().union(*expected)


@given(st.lists(permission_sets(), max_size=4))
@settings(max_examples=200)
def test_nothing_is_written_where_no_statement_may_change(sets: list[Permissions]) -> None:
    for endpoint in ENDPOINTS:
        access = permits(sets).access(endpoint)
        if not any(access.may_verb(verb) for verb in CHANGING):
            assert access.write("tasks") is False
        if not permits(sets).may(endpoint):
            assert access.read("tasks") is False
