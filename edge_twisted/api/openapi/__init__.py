# SPDX-License-Identifier: Apache-2.0
"""The API's description in OpenAPI 3.1, made of what the endpoints declare."""
