# SPDX-License-Identifier: Apache-2.0
"""
Trust: who belongs to the mesh, and how a peer proves it.

Every member can compute the key of the mesh's certificate authority (`authority`), and issues its
own certificate (`certificates`) for the key that it keeps on disk (`identity`).  The way in is
`tls.MeshTls`, which makes TLS connections of these.  The text of a peer's public key (`peer_key`)
is its name in the whole mesh, and enough to check what it signed (`signatures`).  The room imports
nothing else of the mesh.
"""
