# SPDX-License-Identifier: Apache-2.0
"""
The query language DQL: from the text of a statement to a plan, and from a plan to rows.

The room is pure: no I/O, no clock, no store.  The stages, each in a package: `lexer` and `parser`
turn text into a tree (`syntax`), `name_resolution` says which term each path means, `rewriter`
simplifies conditions, `plan` chooses an access path and freezes a `plan.query.QueryPlan`,
`compiler` turns expressions into closures, `execution` has the operators on rows (join, group,
sort, cut).  `functions`, `operators`, `patterns` and `dates` evaluate; `formatter` turns trees back
into text;
`subscriptions` serves the mesh.  The ways in are `parser.parse`, `plan.query.plan_query` and
`subscriptions.Subscription.of`.  The room may import only `edge_twisted.documents` and
`edge_twisted.errors`.
"""
