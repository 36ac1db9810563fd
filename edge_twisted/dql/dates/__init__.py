# SPDX-License-Identifier: Apache-2.0
"""
Instants, zones, calendar arithmetic and formats beneath the functions on dates.

An instant is an integer: milliseconds since 1970-01-01T00:00:00Z, in the years 1 to 9999.  What
is outside of them, like everything that cannot be read, is None here and MISSING in the language.
"""
