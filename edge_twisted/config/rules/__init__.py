# SPDX-License-Identifier: Apache-2.0
"""What a file must be beyond the schema: keys that depend on each other, or on the machine."""
