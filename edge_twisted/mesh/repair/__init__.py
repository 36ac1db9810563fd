# SPDX-License-Identifier: Apache-2.0
"""
Set reconciliation of one scope between two servers: the receiver's and the sender's side.

`receiver` finds out what only one side has, pulls it and asks what became of the rest; `sender`
answers.  Long computations run in `steps`; `suppliers` send whole documents beside a stream.
"""
