# SPDX-License-Identifier: Apache-2.0
"""
The query language DQL: from the text of a statement to a plan, and from a plan to rows.

The room is pure: no I/O, no clock, no store.  The stages, each in a package: `lexer` and `parser`
turn text into a tree (`syntax`), `names` says which term each path means, `rewrite` simplifies
conditions, `plan` chooses an access path and freezes a `plan.query.QueryPlan`, `compile` turns
expressions into closures, `execute` has the operators on rows (join, group, sort, cut).
`functions`, `operators`, `patterns` and `dates` evaluate; `format` turns trees back into text;
`subscriptions` serves the mesh.  The ways in are `parser.parse`, `plan.query.plan_query` and
`subscriptions.Subscription.of`.  The room may import only `edge_twisted.documents` and
`edge_twisted.errors`.
"""
