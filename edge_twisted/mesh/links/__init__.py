# SPDX-License-Identifier: Apache-2.0
"""
Connections to peers: the adapters between sessions and the network.

`node.MeshNode` owns all links, `link` drives one session on one connection, `dialer`, `connectors`
and `discovery` bring connections about, `blob_carrier` moves attachments over them.
"""
