# SPDX-License-Identifier: Apache-2.0
"""
What every store must do, as tests.

Mix `StoreContract` into a test case and say how a store is made.  Read each test's first line as a
sentence of the contract.
"""

from __future__ import annotations

from tests.support.store_contract.documents import DocumentContract
from tests.support.store_contract.log import LogContract
from tests.support.store_contract.reads import ReadContract
from tests.support.store_contract.units import UnitContract


class StoreContract(UnitContract, DocumentContract, LogContract, ReadContract):
    """Everything in this module; see also the contracts of indexes and attachments."""


__all__ = ["StoreContract"]
