"""What the command line does, one module per group of commands; `cli` only parses arguments."""
