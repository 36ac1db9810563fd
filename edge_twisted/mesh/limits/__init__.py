# SPDX-License-Identifier: Apache-2.0
"""
How much a peer may send: token buckets, and the rates of each kind of message.

`rates.Intake` counts the messages of one link; `buckets` has the token bucket that other rooms use
too.  The room imports `wire`.
"""
