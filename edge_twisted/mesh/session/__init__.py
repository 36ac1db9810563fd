# SPDX-License-Identifier: Apache-2.0
"""
One link as a state machine without I/O; `session.Session` is the way in.

Bytes, ticks, commits and answers go in, effects come out.  `states` has the tables of states and
messages, `streams` all streams of a link, `incoming` and `outgoing` the two sides of one.
"""
