# SPDX-License-Identifier: Apache-2.0
"""Shipped test support: strategies, contracts, simulated network and clock."""
