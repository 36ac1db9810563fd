# SPDX-License-Identifier: Apache-2.0
"""
Presence: who is in the mesh, and who is linked with whom.

The way in is `gossip.Gossip`, which checks the signatures of encoded records from links, and says
what to send on.  `graph` holds the records and the rules, `codec` their form on the wire, `spread`
the pace at which they go out.  The room is pure; it imports `limits` and `trust` of the mesh.
"""
