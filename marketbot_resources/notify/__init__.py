"""How alerts leave the machine: one file per kind of channel, one port."""
