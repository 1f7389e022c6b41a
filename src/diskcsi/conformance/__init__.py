"""Proves an installed provider: the contract, a volume's life over real sockets, and csi-sanity.

This is composition: it sees the provider, the contract suite and the other side of the socket, and
brings them together for whoever writes a provider or trusts one.
"""
