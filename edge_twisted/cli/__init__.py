# SPDX-License-Identifier: Apache-2.0
"""The `edge-server` command line."""
