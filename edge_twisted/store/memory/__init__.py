# SPDX-License-Identifier: Apache-2.0
"""A store in memory: for tests and simulations, and the plainest statement of what a store does."""
