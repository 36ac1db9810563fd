# SPDX-License-Identifier: Apache-2.0
"""One database: statements in, results out; the query language bound to a store."""
