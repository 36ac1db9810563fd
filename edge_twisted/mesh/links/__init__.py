# SPDX-License-Identifier: Apache-2.0
"""
Links: the connections with peers, and whatever brings them about.

The way in is `node.MeshNode`, the owner of all links.  `link.Link` runs one session on one
connection; `dialer`, `connectors`, `discovery` and `mdns` make connections; `strangers` and
`link_choice` decide which of them stay; `blob_transfer` moves attachments over them, and
`presence_exchange` presence.  What a connection runs over is below, in the room `carriers`.  The
room may import all of the mesh but `session`, `repair` and `reconciliation`: it runs sessions by
the interface `ports.effects.LinkSession`.  It knows no store.
"""
