"""The LM Studio peer: wire formats of its dialects, one error tree, one client, and an emulator that behaves as it does.

Everything here but `client` and `emulator` is pure. The truth about the peer is written down in the reference, chapter
LM Studio; section numbers in this package mean that text.
"""
