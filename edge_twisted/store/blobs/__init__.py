# SPDX-License-Identifier: Apache-2.0
"""Blobs beside the documents: content-addressed, streamed, collected when nothing names them."""
