# SPDX-License-Identifier: Apache-2.0
"""Replication over a store that runs each unit of work twice: nothing is done twice."""

from __future__ import annotations

from tests.integration.replication import test_evictions, test_forgotten_deletes, test_replication
from tests.support.rerun_store import RerunStore


class Replication(test_replication.MemoryTests):
    memory_store = RerunStore


class Evictions(test_evictions.InMemory):
    memory_store = RerunStore


class ForgottenDeletes(test_forgotten_deletes.InMemory):
    memory_store = RerunStore


class FormerLives(test_forgotten_deletes.FormerLivesInMemory):
    memory_store = RerunStore


class DeletedAfterEviction(test_forgotten_deletes.DeletedAfterEvictionInMemory):
    memory_store = RerunStore


class ForgottenWrites(test_forgotten_deletes.ForgottenWritesInMemory):
    memory_store = RerunStore
