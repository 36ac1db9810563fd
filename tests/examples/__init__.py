# SPDX-License-Identifier: Apache-2.0
"""
The worked examples of the decisions, made by the code that they explain.

``python -m tests.examples`` writes them into the documents; a test fails while they differ.
"""
