# SPDX-License-Identifier: Apache-2.0
"""
The configuration file, from bytes to the frozen values that the server reads.

The way in is `load.load`; `reading.read` does the same for bytes that are in memory already.
schema.json validates a file and holds every default, `rules` check what a schema cannot, and
`model` has the values.  Every problem is reported with line, column and remedy, all at once.  Only
load.py touches the file system; checks that need other rooms are handed in (`checks`).
"""
