# SPDX-License-Identifier: Apache-2.0
"""
Messages about blobs: msgpack arrays, the number of the kind first.

Each travels inside a message `Blob` of the session (`ports.effects.BlobHeard`);
`docs/mesh-attachments.md` describes them.  A peer says them, so "I" below is the sender.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from edge_twisted.mesh.blobs.errors import MalformedBlobMessage

#: Bytes of content in one message.
CHUNK_BYTES: Final = 64 * 1024
#: Bytes of content that may be on their way over one link, in one direction.
WINDOW_BYTES: Final = 256 * 1024
#: Links that a search goes on over, beyond the first.
MOST_HOPS: Final = 8
SEARCH_BYTES: Final = 16

#: Base64url of a SHA-256 without padding; the last character has two bits to spare, which are 0.
Attachment = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
Search = Annotated[bytes, Meta(min_length=SEARCH_BYTES, max_length=SEARCH_BYTES)]
Size = Annotated[int, Meta(ge=0, lt=2**53)]
Window = Annotated[int, Meta(ge=1, le=WINDOW_BYTES)]


class _Message(Struct, array_like=True, frozen=True, gc=False):
    """Base of all messages."""


class Want(_Message, tag=1, frozen=True):
    """Who has this blob, or can reach it over so many further links?"""

    search: Search
    attachment: Attachment
    hops: Annotated[int, Meta(ge=0, le=MOST_HOPS)]


class Have(_Message, tag=2, frozen=True):
    """I have the blob, or one that I asked has it: pull it from me."""

    search: Search
    length: Size


class Unavailable(_Message, tag=3, frozen=True):
    """Neither I nor anybody whom I asked has the blob, or you may not have it."""

    search: Search


class Pull(_Message, tag=4, frozen=True):
    """Send the blob from this offset on, at most `credit` bytes until I give more."""

    attachment: Attachment
    offset: Size
    credit: Window


class Credit(_Message, tag=5, frozen=True):
    """Send so many bytes more of a blob that I pull."""

    attachment: Attachment
    more: Window


class Chunk(_Message, tag=6, frozen=True):
    """Here is content of a blob that you pull."""

    attachment: Attachment
    offset: Size
    data: Annotated[bytes, Meta(min_length=1, max_length=CHUNK_BYTES)]


class Coming(_Message, tag=7, frozen=True):
    """The blob that you pull is still on its way to me, or waits for its turn: be patient."""

    attachment: Attachment


class Gone(_Message, tag=8, frozen=True):
    """The blob that you pull cannot be sent, or no more of it."""

    attachment: Attachment


class Stop(_Message, tag=9, frozen=True):
    """I do not need the blob that I pull any more."""

    attachment: Attachment


Message = Want | Have | Unavailable | Pull | Credit | Chunk | Coming | Gone | Stop

encode = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Message)


def decode(data: bytes) -> Message:
    """Return the message that `data` encodes.

    :raises MalformedBlobMessage: the bytes are no message within the limits; end the link.
    """
    try:
        message: Message = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBlobMessage(str(error)) from None
    return message
