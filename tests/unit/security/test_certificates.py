# SPDX-License-Identifier: Apache-2.0
"""Each thing that can be wrong with a certificate is its own plain error, with its remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge_twisted.config.model import TlsFiles
from edge_twisted.security import pem_files
from edge_twisted.security.certificates import Certificate, CertificateCheck, check_files
from tests.support.certificates import NOW, IssuedPair, issue

GOOD = issue()
RSA = rsa.generate_private_key(65537, 2048)


def check(files: TlsFiles, host: str | None = "localhost") -> CertificateCheck:
    found = check_files(files.cert, files.key, host, NOW)
    for text in (*map(str, found.problems), *found.warnings):
        assert re.search(r"\S; [a-z]", text), f"no remedy: {text}"
    return found


def good(files: TlsFiles, host: str | None = "localhost") -> Certificate:
    found = check(files, host)
    assert found.certificate, found.problems
    assert not found.problems
    return found.certificate


def codes(found: CertificateCheck) -> list[str]:
    assert (found.certificate is None) == bool(found.problems)
    return [problem.code for problem in found.problems]


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return GOOD.write(tmp_path)


def test_a_good_pair_has_neither_problems_nor_warnings(files: TlsFiles) -> None:
    found = check(files)
    assert (found.problems, found.warnings) == ((), ())
    certificate = good(files)
    assert certificate.names == ("localhost", "127.0.0.1")
    assert certificate.expires == NOW + timedelta(days=3650)
    assert certificate.fingerprint.count(":") == 31


@pytest.mark.parametrize(
    "key",
    [
        RSA,
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
    ],
    ids=lambda key: type(key).__name__,
)
def test_every_kind_of_server_key_is_taken(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    assert good(issue(key=key).write(tmp_path)).chain


def test_a_chain_is_served_as_it_stands(tmp_path: Path) -> None:
    root = issue(name="root", names=())
    middle = issue(name="middle", names=(), issuer=root)
    assert len(good(issue(issuer=middle).write(tmp_path)).chain) == 3


def test_text_around_the_blocks_and_windows_line_ends_are_fine(files: TlsFiles) -> None:
    files.cert.write_bytes(b"\xef\xbb\xbfsubject=x\r\n" + GOOD.cert_pem.replace(b"\n", b"\r\n"))
    files.key.write_bytes(GOOD.cert_pem + GOOD.key_pem + b"trailing text")
    assert good(files)


def test_one_file_may_hold_both(files: TlsFiles) -> None:
    files.cert.write_bytes(GOOD.key_pem + GOOD.cert_pem)
    assert good(TlsFiles(cert=files.cert, key=files.cert))


# -- files that are not there, or not readable


def test_missing_files_are_both_named(tmp_path: Path) -> None:
    files = TlsFiles(cert=tmp_path / "no-cert.pem", key=tmp_path / "no-key.pem")
    found = check(files)
    assert codes(found) == ["certificate_file_missing"] * 2
    assert str(files.cert) in str(found.problems[0])
    assert "put the certificate there" in str(found.problems[0])
    assert str(files.key) in str(found.problems[1])
    assert [problem.role for problem in found.problems] == ["cert", "key"]


def test_a_dangling_link_says_where_it_points_to(files: TlsFiles, tmp_path: Path) -> None:
    files.cert.unlink()
    files.cert.symlink_to(tmp_path / "archive" / "cert7.pem")
    (problem,) = check(files).problems
    assert problem.code == "certificate_file_missing"
    assert f"points to {tmp_path}/archive/cert7.pem, which does not exist" in str(problem)


def test_a_file_used_as_a_folder_is_missing(files: TlsFiles) -> None:
    assert codes(check(TlsFiles(cert=files.key / "x", key=files.key))) == [
        "certificate_file_missing"
    ]


def test_a_folder_is_no_certificate(files: TlsFiles, tmp_path: Path) -> None:
    (problem,) = check(TlsFiles(cert=tmp_path, key=files.key)).problems
    assert problem.code == "certificate_file_unreadable"
    assert "it is a folder" in str(problem)


def test_a_pipe_blocks_nobody(files: TlsFiles, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (problem,) = check(TlsFiles(cert=pipe, key=files.key)).problems
    assert "not a regular file" in str(problem)


def test_a_huge_file_is_not_read(files: TlsFiles) -> None:
    os.truncate(files.cert, pem_files.MAX_FILE_BYTES + 1)
    (problem,) = check(files).problems
    assert "larger than 1 MiB" in str(problem)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """A user whom permissions hold back, if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_needed_permission_is_named(files: TlsFiles, unprivileged: None) -> None:
    with privileged():
        files.key.chmod(0)
    (problem,) = check(files).problems
    assert problem.code == "certificate_file_unreadable"
    assert "needs read permission (r) on it" in str(problem)
    assert str(files.key) in str(problem)


def test_the_folder_that_may_not_be_entered_is_named(
    files: TlsFiles, tmp_path: Path, unprivileged: None
) -> None:
    with privileged():
        closed = tmp_path / "live"
        (closed / "site").mkdir(parents=True)
        hidden = GOOD.write(closed / "site")
        closed.chmod(0)
    try:
        problems = check(hidden).problems
    finally:
        with privileged():
            closed.chmod(0o755)
    assert [problem.code for problem in problems] == ["certificate_file_unreadable"] * 2
    assert f"permission to enter (x) the folder {closed}" in str(problems[0])


class privileged:
    """Back to the user who runs the tests, for a moment."""

    def __enter__(self) -> None:
        self._effective = os.geteuid()
        os.seteuid(os.getuid())

    def __exit__(self, *_: object) -> None:
        os.seteuid(self._effective)


def test_files_that_change_while_they_are_read_are_not_believed(
    files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pem_files._read
    writes = iter(range(100))

    def read_and_write(role: str, path: Path, problems: list[object]) -> bytes:
        data = read(role, path, problems)  # type: ignore[arg-type]
        files.cert.write_bytes(GOOD.cert_pem + b"#" * next(writes))
        return data

    monkeypatch.setattr(pem_files, "_read", read_and_write)
    assert codes(check(files)) == ["certificate_file_changing"]


# -- content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello", "no line in it begins with -----BEGIN"),
        (b"\x00\xff\xfe", "no line in it begins"),
        (GOOD.chain[0].public_bytes(Encoding.DER), "openssl x509 -inform der"),
        (GOOD.key_pem, "are `cert` and `key` swapped"),
        (GOOD.cert_pem[:300], "cut off in the middle"),
        (GOOD.cert_pem + GOOD.cert_pem[:300], "cut off in the middle"),
        (GOOD.cert_pem.replace(b"M", b"N", 3), "certificate 1 in it is damaged"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "it holds CERTIFICATE REQUEST",
        ),
    ],
)
def test_what_is_no_certificate(content: bytes, reason: str, files: TlsFiles) -> None:
    files.cert.write_bytes(content)
    (problem,) = check(files).problems
    assert problem.code == "certificate_not_pem"
    assert reason in str(problem)
    assert str(files.cert) in str(problem)


def damaged_rsa() -> bytes:
    numbers = RSA.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d ^ 0b1110, numbers.dmp1 ^ 6, numbers.dmq1 ^ 6,
        numbers.iqmp, numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)  # fmt: skip
    return wrong.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (
            GOOD.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            "openssl pkey -inform der",
        ),
        (GOOD.cert_pem, "are `cert` and `key` swapped"),
        (GOOD.key_pem[:100], "cut off in the middle"),
        (GOOD.key_pem.replace(b"M", b"N", 3), "the key in it is damaged"),
        (damaged_rsa(), "the key in it is damaged"),
        (
            GOOD.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
            "ssh-keygen -p -m PEM",
        ),
    ],
    ids=["empty", "DER", "a certificate", "cut off", "damaged", "a damaged RSA key", "OpenSSH"],
)
def test_what_is_no_key(content: bytes, reason: str, files: TlsFiles) -> None:
    files.key.write_bytes(content)
    (problem,) = check(files).problems
    assert problem.code == "certificate_not_pem"
    assert reason in str(problem)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_says_how_to_decrypt_it(form: PrivateFormat, files: TlsFiles) -> None:
    files.key.write_bytes(GOOD.encrypted_key_pem(form))
    found = check(files)
    assert codes(found) == ["certificate_key_encrypted"]
    assert f"openssl pkey -in {files.key}" in str(found.problems[0])


def test_a_key_that_tls_cannot_use(files: TlsFiles) -> None:
    key = dsa.generate_private_key(1024)
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    assert codes(check(files)) == ["certificate_unusable"]


def test_a_key_of_another_certificate(files: TlsFiles) -> None:
    files.key.write_bytes(issue().key_pem)
    found = check(files)
    assert codes(found) == ["certificate_key_mismatch"]
    assert f"{files.key} is not the key of the certificate in {files.cert}" in str(
        found.problems[0]
    )


def test_a_chain_in_the_wrong_order_says_where_the_server_s_certificate_is(
    files: TlsFiles,
) -> None:
    root = issue(name="root", names=())
    leaf = issue(issuer=root)
    files.cert.write_bytes(IssuedPair(chain=leaf.chain[::-1], key=leaf.key).cert_pem)
    files.key.write_bytes(leaf.key_pem)
    (problem,) = check(files).problems
    assert "is the key of certificate 2" in str(problem)


# -- time


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (-10, -5, ["certificate_expired"]),
        (5, 10, ["certificate_not_yet_valid"]),
        (0, 10, []),
        (-10, 0, []),
    ],
)
def test_the_time_of_a_certificate(
    begin: int, end: int, expected: list[str], tmp_path: Path
) -> None:
    pair = issue(begin=NOW + timedelta(seconds=begin), end=NOW + timedelta(seconds=end))
    found = check(pair.write(tmp_path))
    assert codes(found) == expected
    for problem in found.problems:
        assert "2026-11-24 1" in str(problem)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    files = issue(begin=NOW - timedelta(days=9), end=NOW - timedelta(days=8)).write(tmp_path)
    files.key.write_bytes(GOOD.key_pem)
    assert codes(check(files)) == ["certificate_key_mismatch", "certificate_expired"]


# -- warnings: the server serves


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "RSA key of 1024 bits"),
        (lambda: ec.generate_private_key(ec.SECP224R1()), "EC key of 224 bits"),
    ],
)
def test_weak_keys_are_warned_about(
    make: Callable[[], rsa.RSAPrivateKey], text: str, tmp_path: Path
) -> None:
    files = issue(key=make()).write(tmp_path)
    assert good(files)
    (warning,) = check(files).warnings
    assert text in warning
    assert str(files.key) in warning


@pytest.mark.parametrize(
    ("host", "names", "covered"),
    [
        ("localhost", ["localhost"], True),
        ("LocalHost", ["localhost"], True),
        ("till.shop.example", ["*.shop.example"], True),
        ("a.till.shop.example", ["*.shop.example"], False),
        ("edge.example", ["localhost"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.1", ["localhost"], False),
        ("::1", ["::1"], True),
        ("0:0:0:0:0:0:0:1", ["::1"], True),
        ("fe80::1%eth0", ["fe80::1"], True),
        ("fe80::2%eth0", ["fe80::1"], False),
        ("0.0.0.0", ["anything.example"], True),
        ("::", ["anything.example"], True),
        (None, ["anything.example"], True),
        ("not a host name", ["localhost"], False),
    ],
)
def test_names_that_do_not_cover_the_address(
    host: str | None, names: list[str], covered: bool, tmp_path: Path
) -> None:
    files = issue(names=names).write(tmp_path)
    assert good(files, host)
    warnings = check(files, host).warnings
    assert bool(warnings) != covered
    if warnings:
        assert f"does not cover {host}" in warnings[0]


def test_a_certificate_without_names(tmp_path: Path) -> None:
    (warning,) = check(issue(names=()).write(tmp_path), None).warnings
    assert "names no host" in warning


def test_faults_of_the_chain_are_warned_about(tmp_path: Path) -> None:
    old_root = issue(
        name="root", names=(), begin=NOW - timedelta(days=9), end=NOW - timedelta(days=8)
    )
    (warning,) = check(issue(issuer=old_root).write(tmp_path)).warnings
    assert "certificate 2" in warning
    assert "expired" in warning
    stranger = issue(name="stranger", names=())
    pair = IssuedPair(chain=GOOD.chain + stranger.chain, key=GOOD.key)
    (warning,) = check(pair.write(tmp_path)).warnings
    assert "did not issue" in warning


def test_no_key_in_any_repr(files: TlsFiles) -> None:
    pair, _ = pem_files.read_pair(files)
    assert pair
    assert "PRIVATE" not in repr(pair)
