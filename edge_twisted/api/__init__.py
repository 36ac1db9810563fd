# SPDX-License-Identifier: Apache-2.0
"""
The HTTP API: one module per endpoint, and what stands before the endpoints.

`tree.ENDPOINTS` lists every endpoint; `pipeline.Pipeline` takes a request through routing, gate
(keys, permissions, throttles, CORS) and endpoint; `wire/` is HTTP/1.1 itself; `errors.ERRORS` is
the published table of error codes.  The way in is `reloadable.ReloadableApi` with `wire.site.Site`.
The API knows of the database and of attachments what `database.py` and `attachments.py` declare.
It may import documents, DQL, configuration, security and logs, never the store or the mesh.
"""
