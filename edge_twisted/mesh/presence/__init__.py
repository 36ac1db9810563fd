# SPDX-License-Identifier: Apache-2.0
"""Who is in the mesh: the graph of peers, its form on the wire, and its gossip."""
