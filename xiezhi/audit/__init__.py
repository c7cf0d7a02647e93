"""The tamper-evident log: what was once signed cannot be changed, removed or reordered without being found out.

merkle        the arithmetic of the tree (RFC 6962, RFC 9162)
note          signed notes and keys (C2SP signed-note)
checkpoint    what is signed: origin, size, root (C2SP tlog-checkpoint)
tiles         names and bytes of the files that hold the tree (C2SP tlog-tiles)
edge          the incomplete right edge of the tree, all that an appender must hold in memory
history       every checkpoint ever signed
disk          the few things that are asked of a disk, so that power cuts can be simulated
log           the one appender of a log
reader        proofs, entries and salts from the files
verification  the whole log checked again from its files
epoch         one log continued by another: new key, or lost key
"""
