# SPDX-License-Identifier: Apache-2.0
"""
What a plan does to rows: filter, join, group, sort, cut, project.

Rows flow as iterators, so a LIMIT ends the scan below it; only sorting, grouping and the inner
side of a hash join keep rows.  A row is what compiled expressions take.
"""
