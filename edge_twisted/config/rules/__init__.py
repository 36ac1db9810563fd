# SPDX-License-Identifier: Apache-2.0
"""Rules that the schema cannot express: keys that depend on each other, or on the machine."""
