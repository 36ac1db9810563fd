# SPDX-License-Identifier: Apache-2.0
"""
Who may call and what they may do: API keys, permissions, and certificates for TLS.

The ways in: `key_ring.KeyRing` finds the caller of a key, `permissions.Permits` says what a caller
may do, `certificates.check_files` examines a certificate, `tls.tls_factory` serves with it and
`certificate_watch` replaces it when its files change.  `fair_queue` and `time_share` bound what
strangers can cost.  The room imports `config` and `errors`, and knows nothing of HTTP.
"""
