# SPDX-License-Identifier: Apache-2.0
"""Pure: the query language, from text to plan and evaluation."""
