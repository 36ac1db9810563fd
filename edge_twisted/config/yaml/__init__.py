# SPDX-License-Identifier: Apache-2.0
"""Parser from YAML bytes to a tree of nodes with positions, in bounded time and memory."""
