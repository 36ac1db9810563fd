# SPDX-License-Identifier: Apache-2.0
"""How much a peer may send: token buckets, and the rates of each kind of message."""
