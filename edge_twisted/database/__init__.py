# SPDX-License-Identifier: Apache-2.0
"""
One database: statements in, results out; the query language bound to a store.

`database.Database` is the way in.  A text becomes a `PreparedStatement` (`statement_cache`), with
its arguments and its caller an `Execution`; `runner` decides where that runs, `select` reads a
plan's rows, `mutation_statements` and `mutations` write.  What a caller may see and write is
decided in `permissions`, `visibility` and `mutation_rules`; what `system:` collections show is in
`virtual_collections`, `history` and `vitals`.  The room may import `dql/`, `records/`, `store/` and
`config/`, and nothing above.
"""
