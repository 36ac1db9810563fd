# SPDX-License-Identifier: Apache-2.0
"""
Transfer of attachments from server to server, over any number of hops.

An attachment is what users name in documents; a blob is its bytes, on disk and on the wire.  The
parameter `attachment` is always the id that both share: the SHA-256 of the bytes.  The way in is
`exchange.BlobExchange`: messages, neighbours, answers of the disk and time go in, effects come out,
and `edge_twisted.mesh.links.blob_transfer` carries them out.  Behind it, `searches` asks neighbours
who has a blob, `fetches` pulls blobs to this server (the states are in `states`), and `server`
gives blobs to neighbours.  A server between two others fetches a blob whole and verifies it before
it serves it, so wrong bytes go no further than one hop.

The room is pure: it knows no transport, clock or disk, and imports nothing of the mesh.
"""
