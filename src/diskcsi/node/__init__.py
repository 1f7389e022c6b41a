"""The rules of CSI for the node side: what is mounted where, and what is never formatted."""
