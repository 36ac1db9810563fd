# SPDX-License-Identifier: Apache-2.0
"""
The operators of the language, one plain function each, one module per family.

They take and return values, `MISSING` included, and never raise but `EvaluationError`.
"""
