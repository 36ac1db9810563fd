# SPDX-License-Identifier: Apache-2.0
"""
Set reconciliation: two peers find out which digests only one of them has.

Reconciling costs bytes in proportion to the difference, not to the sets.  The algorithm is the
rateless invertible Bloom lookup table of Yang, Gilad and Alizadeh, "Practical Rateless Set
Reconciliation" (SIGCOMM 2024).  Cell `i` of an endless row is the sum of a part of the set that
shrinks as 2/(i+2).  The difference of two rows is the row of the difference.  A cell that sums up
one digest reveals it; subtracting that digest from its other cells reveals more.

Three things differ from the paper, for the sake of Python.  A cell is one integer modulo a power of
two, so that one addition puts a digest in (`cells`).  The sets are cut into parts by the first bits
of the permuted digests, so that a digest is in few cells, equal parts cost one cell, and memory
stays small (`sketch`, `peeler`).  Cells of a digest are looked up, not computed (`patterns`).

`peeler.Peeler` is the side that finds the difference, `source.CellSource` the side that is asked;
both work on a `sketch.Sketch`.  `docs/mesh-reconciliation.md` is the protocol.  The room imports no
other room of the mesh.
"""
