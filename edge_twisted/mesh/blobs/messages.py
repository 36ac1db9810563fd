# SPDX-License-Identifier: Apache-2.0
"""
What peers say about attachments: msgpack arrays, the kind's number first.

They travel as they are inside the session's own frames (`effects.BlobHeard`).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from edge_twisted.mesh.blobs.errors import MalformedBlobMessage

#: Bytes of content in one message.
CHUNK_BYTES: Final = 64 * 1024
#: Bytes of content on their way to us over one link.
WINDOW_BYTES: Final = 256 * 1024
#: Neighbours of neighbours of ... that a search goes on to.
MOST_HOPS: Final = 8
SEARCH_BYTES: Final = 16

#: Base64url of a SHA-256 without padding; the last character has two bits to spare, which are 0.
Attachment = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
Search = Annotated[bytes, Meta(min_length=SEARCH_BYTES, max_length=SEARCH_BYTES)]
Size = Annotated[int, Meta(ge=0, lt=2**53)]
Window = Annotated[int, Meta(ge=1, le=WINDOW_BYTES)]


class _Message(Struct, array_like=True, frozen=True, gc=False):
    """A message."""


class Want(_Message, tag=1, frozen=True):
    """Who has this blob, or can reach it over so many further links?"""

    search: Search
    attachment: Attachment
    hops: Annotated[int, Meta(ge=0, le=MOST_HOPS)]


class Have(_Message, tag=2, frozen=True):
    """I do, or one that I asked: it can be pulled from me."""

    search: Search
    length: Size


class Unavailable(_Message, tag=3, frozen=True):
    """Neither I nor anybody whom I asked has it, or you may not have it."""

    search: Search


class Pull(_Message, tag=4, frozen=True):
    """Send it from this offset on, at most `credit` bytes until there is more."""

    attachment: Attachment
    offset: Size
    credit: Window


class Credit(_Message, tag=5, frozen=True):
    """So many bytes more."""

    attachment: Attachment
    more: Window


class Chunk(_Message, tag=6, frozen=True):
    """Content."""

    attachment: Attachment
    offset: Size
    data: Annotated[bytes, Meta(min_length=1, max_length=CHUNK_BYTES)]


class Coming(_Message, tag=7, frozen=True):
    """A pulled blob is still on its way to me, or waits for its turn: be patient."""

    attachment: Attachment


class Gone(_Message, tag=8, frozen=True):
    """A pulled blob cannot be sent (any more)."""

    attachment: Attachment


class Stop(_Message, tag=9, frozen=True):
    """A pulled blob is not needed any more."""

    attachment: Attachment


Message = Want | Have | Unavailable | Pull | Credit | Chunk | Coming | Gone | Stop

encode = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Message)


def decode(data: bytes) -> Message:
    """:raises MalformedBlobMessage: it is no message, or beyond its limits: end the link."""
    try:
        message: Message = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBlobMessage(str(error)) from None
    return message
