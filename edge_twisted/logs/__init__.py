# SPDX-License-Identifier: Apache-2.0
"""Observers: console, rotating files, audit; redaction."""
