# SPDX-License-Identifier: Apache-2.0
"""
Query plans: how the rows of a SELECT are found, and what is done to them.

The way in is `query.plan_query`.  `conditions` and `ranges` say what a condition demands of single
fields, `access_choice` and `index_choice` choose an access path by rule, `joins` and `lookups`
plan further terms, `nodes` are the steps as EXPLAIN shows them.
"""
