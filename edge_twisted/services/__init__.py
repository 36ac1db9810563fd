# SPDX-License-Identifier: Apache-2.0
"""The service tree: what runs, in which order it starts and stops, and how it is told to."""
