# SPDX-License-Identifier: Apache-2.0
"""The configuration file: sections, schema, positions of errors.  Pure but for load.py."""
