# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on the wire: bytes to requests, responses to bytes, and the connections between."""
