# SPDX-License-Identifier: Apache-2.0
"""The read of an index as one value, which every store takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from edge_twisted.store.fields import Fields
from edge_twisted.store.prefilter import Prefilter
from edge_twisted.store.rows import ByteRange

#: All keys of an index.
EVERYTHING: Final = ByteRange()


class IndexRead(NamedTuple):
    """
    Asks for the live documents of a collection whose index keys are in one of `spans`.

    Documents come in the order of their keys; those with equal keys come in no promised order.
    A tuple, because a read makes one for every statement that it answers.
    """

    collection: str
    #: The name of the index.
    name: str
    #: Ranges of encoded keys, as `edge_twisted.store.keys` makes them: ascending, without overlap.
    spans: Sequence[ByteRange] = (EVERYTHING,)
    #: Whether the greatest key comes first.
    descending: bool = False
    #: Keeps fewer documents than the spans do; None keeps them all.
    prefilter: Prefilter | None = None
    #: Asks for rows of these fields instead of bodies, as `fields.row_of` makes them.
    fields: Fields | None = None
