"""A Kubernetes CSI driver for cloud block disks; the cloud is a plug-in."""
