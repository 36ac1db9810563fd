# SPDX-License-Identifier: Apache-2.0
"""Peers: a sans-I/O session and protocol, and its adapters to TCP, TLS and mDNS."""
