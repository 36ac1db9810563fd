# SPDX-License-Identifier: Apache-2.0
"""
Text patterns: ``LIKE``, ``ILIKE``, ``SIMILAR TO`` and regular expressions.

Patterns come from clients, so all of them match in time linear in the text: by plain string
search where that is enough, else by RE2.  Compiled patterns are cached, and bounded in number,
length and memory.
"""
