# SPDX-License-Identifier: Apache-2.0
"""
Builds the `Configuration` from the values of a file that schema and rules have accepted.

Three steps: `schema.completed` adds the defaults; `_database`, `_http_server`, `_auth` and
`_logging` give sections the shape of their model classes; `_Builder` makes the values, each by the
type of its field.  A key whose field has the same name needs no code here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import attrs

from edge_twisted.config.addresses import parse_listen_address, parse_network
from edge_twisted.config.model import (
    Configuration,
    FineGrained,
    Folder,
    HttpApi,
    ListenAddress,
    Permissions,
    Secret,
    ServerAuth,
    SmallPeerOnly,
)
from edge_twisted.config.paths import PathContext
from edge_twisted.config.schema import completed, default_of, property_of, schema
from edge_twisted.config.yaml.nodes import Plain

MEBIBYTE: Final = 2**20

Made = TypeVar("Made", bound=attrs.AttrsInstance)
#: An object of a completed file, or one in the shape of its class; its values are valid.
Section = Mapping[str, Any]


def build(values: Plain, path: Path, context: PathContext) -> Configuration:
    """
    Return the configuration of the file `path` from its values, which obey the schema.

    :param values: the object at the top of the file, as JSON values; absent keys get their
        defaults.
    :param context: the folders to which relative paths are relative, and the environment.
    """
    whole: Any = completed(values, schema())
    shaped = {
        "path": path.name,
        "database": _database(whole["database"]),
        "http_server": _http_server(whole["http_server"]),
        "auth": None if whole["auth"] == "dev_mode" else _auth(whole["auth"]),
        "logging": _logging(whole["logging"]),
    }
    return _Builder(context).instance(Configuration, shaped)


class _Builder:
    """Makes values of the model, each by the type of its field."""

    def __init__(self, context: PathContext) -> None:
        #: Types that are not made by calling them with the value of the file.
        self._makers: Mapping[Any, Callable[[Any], Any]] = {
            Folder: context.folder,
            ListenAddress: lambda text: parse_listen_address(text, context.config_folder),
            IPv4Network | IPv6Network: parse_network,
            Path: context.path,
            Secret: Secret,
            Permissions: lambda value: self._unless_text(FineGrained, value),
            ServerAuth | SmallPeerOnly: self._membership,
            Mapping[str, object]: lambda value: value,
            bool | str: lambda value: value,
        }

    def instance(self, kind: type[Made], section: Section) -> Made:
        """Return an instance of a class of the model from the keys of its fields."""
        types = get_type_hints(kind)
        names = [each.name for each in attrs.fields(kind)]
        return kind(**{name: self.value(types[name], section[name]) for name in names})

    def value(self, kind: Any, value: Any) -> Any:
        """Return the value of a field of the type `kind`."""
        if kind in self._makers:
            return self._makers[kind](value)
        if value is None or get_origin(kind) is Literal:
            return value
        if attrs.has(kind):
            return self.instance(kind, value)
        arguments = get_args(kind)
        if NoneType in arguments:
            [kind] = [each for each in arguments if each is not NoneType]
            return self.value(kind, value)
        if get_origin(kind) is tuple:
            return tuple(self.value(arguments[0], each) for each in value)
        if get_origin(kind) is Mapping:
            return {name: self.value(arguments[1], each) for name, each in value.items()}
        return kind(value)

    def _membership(self, auth: Section) -> ServerAuth | SmallPeerOnly:
        if auth["server"] is not None:
            return self.instance(ServerAuth, auth["server"])
        return self.instance(SmallPeerOnly, auth["small_peer_only"] or auth["small_peers_only"])

    def _unless_text(self, kind: type[Made], value: Any) -> Made | str:
        return value if isinstance(value, str) else self.instance(kind, value)


# -- sections in the shape of their classes


def _database(database: Section) -> Section:
    transport = database["transport_config"]
    subscriptions = [
        {"query": each, "args": {}} if isinstance(each, str) else each
        for each in database["subscriptions"]
    ]
    return {
        **database,
        "db_id": database["db_id"].lower(),
        "transit_mb": _transit_mb(database["transit"]),
        "subscriptions": subscriptions,
        "transport": {**transport, **transport["connect_config"], **transport["listen_config"]},
    }


def _transit_mb(transit: bool | Section) -> int | None:
    if isinstance(transit, bool):
        transit = {} if transit else {"max_mb": None}
    found: int | None = transit.get("max_mb", default_of("transit.max_mb"))
    return found


def _http_server(http: Section | None) -> Section | None:
    if http is None:
        return None
    tls = http["tls_config"]
    return {
        **http,
        "tls": None if tls == "dev_mode" else tls,
        "http_api": _http_api(http["http_api"]),
        "throttling": http["throttling"]["strategies"],
    }


def _http_api(endpoints: Section | bool) -> Section:
    names = [each.name for each in attrs.fields(HttpApi)]
    if isinstance(endpoints, bool):
        endpoints = dict.fromkeys(names, endpoints)
    elif endpoints["enable_execute"] is not None:
        # The old spelling never stands beside the new one.
        endpoints = {**endpoints, "execute": endpoints["enable_execute"]}
    return {name: _endpoint(name, endpoints[name]) for name in names}


def _endpoint(name: str, given: Section | bool) -> Section:
    endpoint: Any = given
    if isinstance(given, bool):
        api = property_of(schema()["$defs"]["http_server"], "http_api")
        endpoint = completed({"enabled": given}, property_of(api, name))
    return {**endpoint, "max_body_bytes": _bytes(endpoint.get("max_body_size_mb")) or 0}


def _auth(auth: Section) -> Section:
    sets = auth["permission_sets"]

    def identity(name: str, given: Section) -> Section:
        chosen = given["permissions"]
        names = dict.fromkeys(chosen if isinstance(chosen, list) else [chosen])
        return {
            "id": given["id"] or name,
            "api_key_hash": given["credential"]["api_key"],
            "permissions": [sets[each]["permissions"] for each in names],
        }

    return {"identities": [identity(*each) for each in auth["identities"].items()]}


def _logging(logging: Section) -> Section:
    server = logging["edge_server"]
    audit, rotating = server["audit_logs"], server["rotating_logs"]
    if rotating is not None:
        rotation = rotating["rotation"]
        size = _bytes(rotation["max_size_mb"])
        rotating = {**rotating, **rotation, "max_size_bytes": size}
    if audit is not None:
        most = None if isinstance(audit, str) else audit["max_files"]
        audit = {"directory": audit, "max_files": most}
    return {
        **logging,
        **server,
        "console": server["console_logs"],
        "audit": audit,
        "rotating": rotating,
    }


def _bytes(mebibytes: float | None) -> int | None:
    """Return a size in units of 2^20 bytes as bytes, at least one."""
    return None if mebibytes is None else max(1, int(mebibytes * MEBIBYTE))
