# SPDX-License-Identifier: Apache-2.0
"""The router: from path and method to the endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from edge_twisted.api.errors import EndpointDisabled, MethodNotAllowed, NotFound
from edge_twisted.api.request import Request
from edge_twisted.api.resource import Resource
from edge_twisted.api.route import Route


class Router:
    """
    Finds the resource of a request by its exact path, else by a path with ``{name}``.

    `disabled` are the routes that a setting switches off; they are answered with a 404 that names
    the setting.  Several resources may share a path if their methods differ.
    """

    def __init__(self, resources: Iterable[Resource], disabled: Iterable[Route] = ()) -> None:
        self._exact: dict[str, dict[str, Resource]] = {}
        self._prefixes: dict[str, dict[str, Resource]] = {}
        self._disabled_exact: dict[str, Route] = {}
        self._disabled_prefixes: dict[str, Route] = {}
        for resource in resources:
            prefix, is_prefix = _prefix_of(resource.route.path)
            table = self._prefixes if is_prefix else self._exact
            by_method = table.setdefault(prefix, {})
            for method in resource.route.allowed:
                if method in by_method:
                    raise ValueError(f"two resources answer {method} {resource.route.path}")
                by_method[method] = resource
        for route in disabled:
            prefix, is_prefix = _prefix_of(route.path)
            (self._disabled_prefixes if is_prefix else self._disabled_exact)[prefix] = route

    def find(self, request: Request) -> Resource:
        """Return the resource of a request, and note the route (and path parameter) in the request.

        :raises NotFound: no endpoint has this path: 404.
        :raises EndpointDisabled: a setting switches the endpoint of this path off: 404, with its
            name.
        :raises MethodNotAllowed: the endpoints of this path have other methods: 405.
        """
        by_method = self._exact.get(request.path)
        if by_method is None:
            by_method = self._find_by_prefix(request)
        resource = by_method.get(request.method)
        if resource is None:
            # Any route of the path will do: metrics count the refusal under its endpoint.
            request.route = next(iter(by_method.values())).route
            raise MethodNotAllowed(tuple(by_method))
        request.route = resource.route
        return resource

    def _find_by_prefix(self, request: Request) -> dict[str, Resource]:
        path = request.path
        # A disabled exact path must not match the parameter of another route.
        route = self._disabled_exact.get(path)
        if route is None:
            for prefix, by_method in self._prefixes.items():
                if path.startswith(prefix) and len(path) > len(prefix):
                    request.path_parameter = path[len(prefix) :]
                    return by_method
            for prefix, candidate in self._disabled_prefixes.items():
                if path.startswith(prefix) and len(path) > len(prefix):
                    route = candidate
        if route is None:
            raise NotFound
        request.route = route
        raise EndpointDisabled(route.setting)


def _prefix_of(path: str) -> tuple[str, bool]:
    """Return the fixed part of a declared path, and whether a parameter follows it."""
    prefix, brace, _name = path.partition("{")
    return prefix, bool(brace)
