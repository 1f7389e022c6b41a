"""How an attach becomes a device: not at all, or as a loop device on this machine."""
