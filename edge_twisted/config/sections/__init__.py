# SPDX-License-Identifier: Apache-2.0
"""The sections of a valid file as the values of the model."""
