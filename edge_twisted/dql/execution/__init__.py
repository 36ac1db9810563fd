# SPDX-License-Identifier: Apache-2.0
"""
Operators on rows: filter, join, group, sort, cut, and the interruption and metering of all.

Rows flow as iterators, so a LIMIT ends the scan below it; only sorting, grouping and the inner
side of a hash join keep rows in memory.  A row is what compiled expressions take: a document, or a
tuple of documents in a join.
"""
