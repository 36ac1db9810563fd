# SPDX-License-Identifier: Apache-2.0
"""Pure: the functions of the query language, one module per family."""
