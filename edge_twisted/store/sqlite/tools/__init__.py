# SPDX-License-Identifier: Apache-2.0
"""TODO store/sqlite/tools."""
