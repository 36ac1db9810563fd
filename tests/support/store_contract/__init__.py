# SPDX-License-Identifier: Apache-2.0
"""
What every store must do, as tests.

Derive a test case from `StoreContract` and say how a store is made (`base.StoreTestCase`).  Read
each test's first line as a sentence of the contract.
"""

from __future__ import annotations

from tests.support.store_contract.blobs import BlobContract
from tests.support.store_contract.documents import DocumentContract
from tests.support.store_contract.indexes import IndexContract
from tests.support.store_contract.log import LogContract
from tests.support.store_contract.reads import ReadContract
from tests.support.store_contract.units import UnitContract


class StoreContract(
    UnitContract, DocumentContract, LogContract, ReadContract, IndexContract, BlobContract
):
    """The whole contract."""


__all__ = ["StoreContract"]
