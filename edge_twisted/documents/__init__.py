# SPDX-License-Identifier: Apache-2.0
"""Pure: values and their order, ids, clocks, versions, and the merge state of documents."""
