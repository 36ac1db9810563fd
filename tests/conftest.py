# SPDX-License-Identifier: Apache-2.0
"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is the machine's business: figures belong to bench/.
settings.register_profile("edge", deadline=None)
settings.load_profile("edge")
