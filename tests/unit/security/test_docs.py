# SPDX-License-Identifier: Apache-2.0
"""The security documentation names every problem of a certificate by its code."""

from __future__ import annotations

from pathlib import Path

from edge_twisted.security import certificate_errors
from edge_twisted.security.certificate_errors import CertificateProblem

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"


def test_every_problem_is_in_the_documentation_under_a_code_of_its_own() -> None:
    kinds = CertificateProblem.__subclasses__()
    codes = {kind.code for kind in kinds}
    assert len(codes) == len(kinds) > 5
    text = DOCUMENT.read_text("utf-8")
    assert {code for code in codes if f"`{code}`" not in text} == set()
    assert certificate_errors.CertificateProblem.code not in codes
