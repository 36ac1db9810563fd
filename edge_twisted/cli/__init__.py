# SPDX-License-Identifier: Apache-2.0
"""
The `edge-server` command line.

The way in is `main.main`; each command is a module, imported when it is used (`lazy`).  Commands
read the configuration file, talk to a running server through its status socket, or work on its
files.  They may import every room, and no room imports them.
"""
