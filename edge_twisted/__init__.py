# SPDX-License-Identifier: Apache-2.0
"""An edge data server: documents, DQL, an HTTPS API and a peer mesh in one Twisted process."""

__version__ = "0.2.0.dev0"
