"""The HTTP port, taken before anything that takes long to import.

Who asks while the process starts waits in the port's queue, and has the answer as soon as there is
one. Refused, a supervisor would ask again a whole period later.
"""

from __future__ import annotations

import socket


def listening(host: str, port: int) -> socket.socket:
    """Listen on the first address of `host`; port 0 takes a free one.

    Raises:
        OSError: the address is not this machine's, or the port is taken.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server((str(address[0]), int(address[1])), family=family)
