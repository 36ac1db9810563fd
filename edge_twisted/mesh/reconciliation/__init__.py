# SPDX-License-Identifier: Apache-2.0
"""
Set reconciliation: two peers find out which digests only one of them has.

It costs bytes in proportion to the difference, not to the sets.  The idea is the rateless
invertible Bloom lookup table of Yang, Gilad and Alizadeh, "Practical Rateless Set Reconciliation"
(SIGCOMM 2024): cell `i` of an endless row sums up a part of the set that shrinks as 2/(i+2); the
difference of two rows is the row of the difference; a cell that sums up one digest gives it away,
and taken out of the other cells it uncovers more.

What is different here serves Python.  A cell is one integer modulo a power of two, so that one
addition puts a digest in (`mixing`).  The sets are cut into parts by the first bits of the mixed
digests, so that a digest is in few cells, equal parts cost one cell, and memory stays small
(`sketch`, `peeler`).  Cells of a digest are looked up, not computed (`patterns`).

`docs/mesh-reconciliation.md` is the protocol.
"""
