# SPDX-License-Identifier: Apache-2.0
"""
Versions of the protocol, and what the two ends of a link may say to each other in each of them.

HELLO names all versions that a server speaks.  The highest that both ends speak is the version of
the link.  Streams do not look at its number: they ask `Features`, which has a name for whatever a
version added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from edge_twisted.mesh.wire import messages as m

#: Versions of the protocol that this server speaks.
VERSIONS: Final = (1, 2)
#: Kinds of messages that a later version than 1 added, and that version.
SINCE: Final[Mapping[type, int]] = MappingProxyType({m.BaseWanted: 2, m.Base: 2})


@frozen
class Features:
    """
    What may be said on a link of this version, by either end.

    Fields that a version added are left out on a link of an older version, and ignored if they
    come.  Messages that a version added are violations on a link of an older version.
    """

    version: int

    @property
    def has_bases(self) -> bool:
        """
        Whether receivers name and get bases of deltas.

        The fields `base` of SUBSCRIBE and of BATCH, and the messages BASE_WANTED and BASE.
        """
        return self.version >= 2

    @property
    def has_signed_presence(self) -> bool:
        """Whether each presence record carries the signature of the peer that it describes."""
        return self.version >= 2

    def has(self, kind: type[m.Message]) -> bool:
        """Return whether messages of this class may come on the link."""
        return SINCE.get(kind, 1) <= self.version

    @property
    def shares_batches(self) -> bool:
        """Whether one BATCH may be for several subscriptions."""
        return self.version >= 2

    @property
    def passes_subscriptions_on(self) -> bool:
        """Whether SUBSCRIBE says for whom it is passed on."""
        return self.version >= 2


def common_features(ours: Collection[int], theirs: Collection[int]) -> Features | None:
    """Return the features of the highest version in both collections; None if there is none."""
    both = set(ours) & set(theirs)
    return Features(max(both)) if both else None
