# SPDX-License-Identifier: Apache-2.0
"""
What travels over a link: frames, messages, and the values within them.

`frames` cuts a stream of bytes into messages, `messages` defines and encodes them as
`docs/mesh-protocol.md` publishes them, `values` and `items` are documents and versions as they
travel.  `violations` are the errors of a peer, `end_reasons` why links end, and `state_machine` how
tables say which message may come when.  The room imports no other room of the mesh.
"""
