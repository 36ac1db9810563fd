# SPDX-License-Identifier: Apache-2.0
"""
The protocol on one link, without I/O; `session.Session` is the way in, and its head explains it.

`states` has the tables of states, `streams` all streams of a link, `incoming` and `outgoing` the
two sides of a stream.  The room imports `limits`, `ports`, `reconciliation`, `repair` and `wire`.
"""
