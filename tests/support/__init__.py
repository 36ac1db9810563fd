# SPDX-License-Identifier: Apache-2.0
"""
What the tests are made of: simulation, contracts, fakes, strategies, fuzzers, laws.

None of it is in the server's wheel.
"""
