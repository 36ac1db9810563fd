# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: site, resource tree, one file per endpoint."""
