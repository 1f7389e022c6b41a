"""The cloud's state: disks, snapshots, instances, and how they change with time."""
