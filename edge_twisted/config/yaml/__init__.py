# SPDX-License-Identifier: Apache-2.0
"""YAML with positions: from bytes to a tree of nodes, in bounded time and memory."""
