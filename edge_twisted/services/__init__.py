# SPDX-License-Identifier: Apache-2.0
"""
The parts of the server as Twisted services: starting, stopping, reloading, listening.

The way in is `edge_server.EdgeServer`, which has the parts in the order in which they start.  This
room connects all others (database, mesh, API, logs) with the reactor, the clock and systemd, and
may import all of them; nothing but `tap` and the command line imports it.
"""
