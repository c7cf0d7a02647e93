"""How each department writes its records into a scene: one module per owner, one function per kind of statement."""
