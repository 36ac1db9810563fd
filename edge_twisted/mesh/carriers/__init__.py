# SPDX-License-Identifier: Apache-2.0
"""
Carriers: what brings a link's bytes from one server to another.

`carrier` is the interface, and says what a further carrier has to provide.  `tcp` and `unix` are
carriers.  TLS, the session and all limits are above this room, and the same on every carrier.  The
room imports `presence` of the mesh, for the kinds of links that users see.
"""
