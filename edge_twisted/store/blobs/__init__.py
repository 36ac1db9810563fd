# SPDX-License-Identifier: Apache-2.0
"""
Blobs: the bytes of attachments, kept beside the documents that name them.

An *attachment* is the user's token in a document (`edge_twisted.documents.attachments`); the *blob*
is its bytes.  `interface` is the way in; `files` keeps blobs in a folder, `memory` keeps them for
tests; `ledger` books them as facts of the store and finds those that no document names.
"""
