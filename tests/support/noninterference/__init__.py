# SPDX-License-Identifier: Apache-2.0
"""
The law of non-interference: what a caller may not read changes nothing of what the caller is told.

`worlds` makes databases that differ in hidden documents alone, `statements` makes statements of
every kind, `comparison` runs them in all worlds and compares the answers to the byte.

    python -m tests.support.noninterference --statements 20000
"""
