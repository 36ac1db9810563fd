# SPDX-License-Identifier: Apache-2.0
"""Who is at fault is in the type of an error, and agrees with the published table."""

from __future__ import annotations

from collections.abc import Iterator

from edge_twisted.api import attachments as _attachments  # its errors belong to the table too
from edge_twisted.api.errors import ERRORS, STATUS_OF, ClientError, HttpError, ServerError

#: Statuses of 5xx that a client causes: it asks for what this server's HTTP does not have.
UNSUPPORTED = {501, 505}


def subclasses(kind: type[HttpError]) -> Iterator[type[HttpError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_error_is_the_clients_or_the_servers() -> None:
    assert _attachments.AttachmentNotFound in subclasses(ClientError)
    found = [each for each in subclasses(HttpError) if each not in (ClientError, ServerError)]
    assert len(found) > 15
    for each in found:
        status = STATUS_OF[each.code]
        is_the_clients = status < 500 or status in UNSUPPORTED
        assert issubclass(each, ClientError if is_the_clients else ServerError), each
        assert is_the_clients or status == 503, each


def test_no_code_is_published_twice() -> None:
    assert len({kind.code for kind in ERRORS}) == len(ERRORS)
    codes = [each.code for each in subclasses(HttpError) if "code" in vars(each)]
    assert len(set(codes)) == len(codes)
