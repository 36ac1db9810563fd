# SPDX-License-Identifier: Apache-2.0
"""The global reactor, for tests that need real threads and sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet import reactor as _reactor

if TYPE_CHECKING:
    from edge_twisted.services.reactor import Reactor

reactor = cast("Reactor", _reactor)
