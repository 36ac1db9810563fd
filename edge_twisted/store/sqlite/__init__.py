# SPDX-License-Identifier: Apache-2.0
"""The store on SQLite, by apsw: one file per database, one writer, readers on snapshots."""
