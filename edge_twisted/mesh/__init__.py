# SPDX-License-Identifier: Apache-2.0
"""
Peers: a sans-I/O session and protocol, and its adapters to connections, TLS and mDNS.

Bytes of a connection (`carriers`, `links.link`) become messages (`wire`), which the state machine
of the link takes (`session`, with `repair` for the reconciliation of sets and `reconciliation` for
its sketches).  What comes out are effects and questions to the database (`ports`).  Beside it run
`blobs` (attachments' bytes), `presence` (who is in the mesh) and `limits` (floods); `trust` has the
certificates.  `links.node` owns all links, and `edge_twisted.services.mesh` assembles the parts.
"""
