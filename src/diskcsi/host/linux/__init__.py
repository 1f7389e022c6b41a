"""Linux: sysfs, the mount table, and the tools that make, check and grow filesystems."""
