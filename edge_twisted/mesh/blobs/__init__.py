# SPDX-License-Identifier: Apache-2.0
"""
Attachments across hops, without transport, clock or disk: messages, peers and time go in, effects
come out.

A *search* asks the neighbours for a blob, and through them theirs (`searches`).  Whoever has it, or
has found somebody who has, says so; then it is *pulled*, chunk by chunk, against credits
(`fetches`, `credits`), and *served* when nothing more urgent waits on the link (`serving`).  A peer
between first fetches a blob itself, whole and verified, and then serves it: wrong bytes go no
further than one hop.  `exchange` puts it together.
"""
