"""The other side of the socket: calls a driver as the sidecars and kubelet do, in processes it starts.

It knows the driver by its command line and by CSI alone, so what it shows is what a cluster sees.
"""
