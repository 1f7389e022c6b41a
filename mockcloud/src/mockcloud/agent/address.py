"""An address of this machine's loopback interface, by the kernel's own messages (rtnetlink)."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from typing import Final

from mockcloud.agent.devices import Unable

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
RTM_NEWADDR, RTM_DELADDR = 20, 21
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 0x1, 0x4, 0x100, 0x400
IFA_ADDRESS, IFA_LOCAL = 1, 2
NETLINK_ROUTE: Final = 0
HEAD: Final = struct.Struct("=IHHII")
ADDRESS: Final = struct.Struct("=4BI")
ATTRIBUTE: Final = struct.Struct("=HH4s")
STATUS: Final = struct.Struct("=i")
HOST_BITS: Final = 32
LOOPBACK: Final = "lo"


@contextlib.contextmanager
def of_this_machine(address: str) -> Iterator[None]:
    """While the block runs the address is this machine's; 127.0.0.0/8 always is.

    Raises:
        Unable: it can't be added.
    """
    if ipaddress.IPv4Address(address).is_loopback:
        yield
        return
    try:
        _ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address)
    except OSError as error:
        raise Unable(
            f"address {address} can't be added to the loopback interface: {error.strerror}; run"
            " the agent in a privileged pod with hostNetwork"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # somebody removed it already
            _ask(RTM_DELADDR, 0, address)


def _ask(kind: int, flags: int, address: str) -> None:
    """Send one request, and raise what the kernel answers."""
    packed = socket.inet_aton(address)
    body = ADDRESS.pack(socket.AF_INET, HOST_BITS, 0, 0, socket.if_nametoindex(LOOPBACK))
    for attribute in (IFA_LOCAL, IFA_ADDRESS):
        body += ATTRIBUTE.pack(ATTRIBUTE.size, attribute, packed)
    length = HEAD.size + len(body)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
        kernel.settimeout(5.0)
        kernel.send(HEAD.pack(length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = kernel.recv(4096)
    (status,) = STATUS.unpack_from(answer, HEAD.size)
    if status and -status != errno.EEXIST:
        raise OSError(-status, os.strerror(-status))
