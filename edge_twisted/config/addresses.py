# SPDX-License-Identifier: Apache-2.0
"""Parsers for hosts, ports, networks, URLs and paths in the texts of the file."""

from __future__ import annotations

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from edge_twisted.config.model import ListenAddress, TcpAddress, UnixAddress
from edge_twisted.config.problems import quoted

MAX_PORT: Final = 65535
#: What `sockaddr_un` holds, less its closing NUL.
MAX_UNIX_PATH_BYTES: Final = 107

_UNIX: Final = "unix:"
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+", re.ASCII)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class BadFormat(ValueError):
    """A text that cannot be parsed; the message says why and never quotes a secret."""


def parse_listen_address(text: str, folder: Path) -> ListenAddress:
    """
    Parse ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``, a path relative to `folder`.

    Port 0 is accepted: the system then chooses one.

    :raises BadFormat: `text` has none of these forms; the message says what is wrong.
    """
    if not text.startswith(_UNIX):
        return parse_host_port(text, lowest_port=0)
    path = parse_path(text.removeprefix(_UNIX))
    absolute = folder / path
    if len(str(absolute).encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH_BYTES:
        raise BadFormat(f"a unix socket's path has at most {MAX_UNIX_PATH_BYTES} bytes")
    return UnixAddress(absolute)


def parse_host_port(text: str, lowest_port: int = 1) -> TcpAddress:
    """
    Parse ``HOST:PORT`` or ``[IPv6]:PORT``; the host is not looked up.

    :raises BadFormat: the host is invalid, or the port is not from `lowest_port` to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise BadFormat(f"{quoted(text)} has no port; add one, as in {_with_port(text)}")
    if not host:
        raise BadFormat(f"{quoted(text)} has no host; 0.0.0.0{text} is all of IPv4")
    if not _PORT.fullmatch(port) or not lowest_port <= int(port) <= MAX_PORT:
        raise BadFormat(f"{quoted(port)} is no port; a port is {lowest_port} to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        return TcpAddress(host=str(_ipv6(host[1:-1])), port=int(port))
    if ":" in host:
        raise BadFormat(f"{quoted(text)} is ambiguous; put the IPv6 address in brackets")
    _check_host(host)
    return TcpAddress(host=host, port=int(port))


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """
    Parse an IPv4 or IPv6 address.

    :raises BadFormat: `text` is no IP address.
    """
    try:
        return ip_address(text)
    except ValueError:
        raise BadFormat(f"{quoted(text)} is no IP address") from None


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """
    Parse a network in CIDR form; a bare address is a network of one.

    :raises BadFormat: `text` is no network, or has bits beyond its prefix.
    """
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise BadFormat(f"{quoted(text)} is no network") from None
    raise BadFormat(f"{quoted(text)} has bits beyond its prefix; the network is {meant}")


def parse_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """
    Parse a URL of one of `schemes` that names a host; return its parts.

    The message does not quote the text, which may carry credentials.

    :raises BadFormat: `text` is no such URL.
    """
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadFormat("has characters that a URL cannot have; percent-encode them")
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError as error:
        raise BadFormat("its host or port cannot be read") from error
    if parts.scheme not in schemes:
        raise BadFormat("has no scheme that is known here")
    if not parts.hostname:
        raise BadFormat("names no host")
    return parts


def check_origin(text: str) -> str:
    """
    Return `text`, a CORS origin, if a browser can send exactly this as its `Origin` field.

    :raises BadFormat: no browser would send `text` as an origin; the message says why.
    """
    if text == "*":
        return text
    parts = parse_url(text, ("http", "https"))
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise BadFormat(f"{quoted(text)} has more than scheme, host and port")
    if text != text.lower():
        raise BadFormat(f"{quoted(text)} is not in lower case, as browsers send it")
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        raise BadFormat(f"{quoted(text)} names the default port, which browsers leave out")
    return text


def parse_path(text: str) -> Path:
    """
    Return `text` as a path, as it is: neither made absolute nor looked up.

    :raises BadFormat: `text` is empty or has a NUL character.
    """
    if not text.strip():
        raise BadFormat("is empty")
    if "\0" in text:
        raise BadFormat("has a NUL character, which no path can have")
    return Path(text)


def is_loopback(listen: ListenAddress) -> bool:
    """Tell whether only this machine can reach `listen`, judging by the text, without DNS."""
    if isinstance(listen, UnixAddress):
        return True
    try:
        return ip_address(listen.host).is_loopback
    except ValueError:
        name = listen.host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost")


def _with_port(host: str) -> str:
    return quoted(f"{host}:8080") if host else '"localhost:8080"'


def _ipv6(text: str) -> IPv6Address:
    try:
        return IPv6Address(text)
    except ValueError:
        raise BadFormat(f"{quoted(text)} is no IPv6 address") from None


def _check_host(host: str) -> None:
    if _DIGITS_AND_DOTS.fullmatch(host):
        parse_address(host)
        return
    name = host.removesuffix(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        hint = "; 0.0.0.0 is all of IPv4, [::] all of IPv6" if host == "*" else ""
        raise BadFormat(f"{quoted(host)} is no host{hint}")
