# SPDX-License-Identifier: Apache-2.0
from twisted.application.service import ServiceMaker

edgeserver = ServiceMaker(
    "edge data server",
    "edge_twisted.tap",
    "An edge data server: documents, DQL over HTTPS, and a peer mesh.",
    "edgeserver",
)
