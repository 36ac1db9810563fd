# SPDX-License-Identifier: Apache-2.0
"""Plans: how the rows of a statement are found, and what is done to them, as a printable tree."""
