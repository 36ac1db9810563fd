# SPDX-License-Identifier: Apache-2.0
"""What a mesh asks of a database, done on a store: `edge_twisted.mesh.ports.requests.Documents`."""
