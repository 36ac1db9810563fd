# SPDX-License-Identifier: Apache-2.0
"""Where documents live: the storage interface, its SQLite and in-memory implementations."""
