"""What stays on disk: artifacts, the ledger of paid replies, records, data files, shipped models, and where code came from.

Knows how things are written and read again, whole or not at all; not how they are computed.
"""
