# SPDX-License-Identifier: Apache-2.0
"""What an operator runs on a database file: backup, restore, check and repair."""
