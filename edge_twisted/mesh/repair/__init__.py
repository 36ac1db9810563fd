# SPDX-License-Identifier: Apache-2.0
"""
Repair of one stream: the two servers reconcile their sets of documents where no cursor helps.

`receiver.RepairReceiver` finds out what only one side has, pulls what is missing and asks what
became of the rest; `sender.RepairSender` answers; `states` has the receiver's table of states.
Long computations run in `steps`; `suppliers` send whole documents beside a stream.  The room
imports `ports`, `reconciliation` and `wire`.
"""
