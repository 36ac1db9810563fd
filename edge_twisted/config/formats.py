# SPDX-License-Identifier: Apache-2.0
"""
Checkers for the `format` keywords of the schema, such as `host-port` and `cidr`.

A format is checked by the function that later makes the value, so that the two cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from jsonschema import FormatChecker

from edge_twisted.config.addresses import (
    BadFormat,
    check_origin,
    parse_address,
    parse_host_port,
    parse_listen_address,
    parse_network,
    parse_path,
    parse_url,
)
from edge_twisted.config.mesh_key import BadMeshKey, parse_mesh_key
from edge_twisted.config.problems import quoted

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def _uuid(text: str) -> None:
    if not _UUID.fullmatch(text):
        raise BadFormat(f"{quoted(text)} is no UUID")


def _file_prefix(text: str) -> None:
    parse_path(text)
    if "/" in text or text in (".", "..") or PurePosixPath(text).name != text:
        raise BadFormat(f"{quoted(text)} has a path in it")


def _environment_variable(text: str) -> None:
    if not text or "=" in text or "\0" in text:
        raise BadFormat(f"{quoted(text)} is no name of an environment variable")


#: Format -> the function that raises `ValueError` with the reason.
_FORMATS: Final[dict[str, Callable[[str], object]]] = {
    "uuid": _uuid,
    "http-url": lambda text: parse_url(text, ("http", "https")),
    "ws-url": lambda text: parse_url(text, ("ws", "wss")),
    "origin": check_origin,
    "listen-address": lambda text: parse_listen_address(text, Path("/")),
    "host-port": parse_host_port,
    "ip-address": parse_address,
    "cidr": parse_network,
    "mesh-key": parse_mesh_key,
    "file-path": parse_path,
    "file-prefix": _file_prefix,
    "environment-variable": _environment_variable,
}


def make_format_checker() -> FormatChecker:
    """Return a checker of the values of `format` in the schema; any other format is ignored."""
    checker = FormatChecker(formats=())
    for name, check in _FORMATS.items():
        checker.checks(name, raises=(BadFormat, BadMeshKey))(_on_texts(check))
    return checker


def _on_texts(check: Callable[[str], object]) -> Callable[[object], bool]:
    """Adapt `check` to JSON Schema: values that are no text pass, for `type` refuses them."""

    def conforms(instance: object) -> bool:
        if isinstance(instance, str):
            check(instance)
        return True

    return conforms
