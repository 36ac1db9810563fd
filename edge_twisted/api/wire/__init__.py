# SPDX-License-Identifier: Apache-2.0
"""
HTTP/1.1: bytes to requests, responses to bytes, and the connections between them.

The way in is `site.Site`, a factory of connections.  A `Connection` reads requests with a
`RequestReader` (heads, chunks, targets: pure), and gives each to an `Exchange`, which sends the
response that the pipeline returns.  What connections share is their `ConnectionContext`.
"""
