"""The peer that holds the conversation: the message backend of Say What Want, in the generations it has had.

`values` are what is said, `wire` and `queue` the formats, `identity` names and colours, `classify` the verdict on a reply,
`detection` how a backend is recognised, `errors` the failures, `client` the only module that talks, and `emulator` a real
server that behaves as the backends do.
"""
