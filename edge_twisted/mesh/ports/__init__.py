# SPDX-License-Identifier: Apache-2.0
"""
The borders of a session: what it asks of the database and what it wants done.

`requests` and their answers are the only way from the mesh to documents; `effects` are what the
owner of a session carries out; `port` is the session as its own parts see it.  May import `wire`.
"""
