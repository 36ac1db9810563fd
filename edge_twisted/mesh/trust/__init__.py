# SPDX-License-Identifier: Apache-2.0
"""Membership: the server's key, the mesh's certificate authority, and TLS made of both."""
