"""The big synthetic world: any number of instruments, exchanges and years, with its truth beside it."""
