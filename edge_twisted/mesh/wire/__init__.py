# SPDX-License-Identifier: Apache-2.0
"""
What travels over a link: frames, messages, and the values within them.

`frames` cuts a stream of bytes into messages, `messages` defines and encodes them as
`docs/mesh-protocol.md` publishes them, `values` and `items` are documents and versions as they
travel, `violations` is how a peer's fault is reported.  The room imports no other room of the mesh.
"""
