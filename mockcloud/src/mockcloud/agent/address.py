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
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE, NLM_F_DUMP = 0x1, 0x4, 0x100, 0x400, 0x300
IFA_ADDRESS, IFA_LOCAL = 1, 2
NETLINK_ROUTE: Final = 0
HEAD: Final = struct.Struct("=IHHII")
ADDRESS: Final = struct.Struct("=4BI")
ATTRIBUTE: Final = struct.Struct("=HH4s")
STATUS: Final = struct.Struct("=i")
HOST_BITS: Final = 32
ALIGNED: Final = 4
MOST_BYTES: Final = 65536
LOOPBACK: Final = "lo"


def on_loopback(address: str) -> bool:
    """Whether the loopback interface has the address already; 127.0.0.0/8 it always has.

    Raises:
        Unable: the kernel doesn't tell.
    """
    if ipaddress.IPv4Address(address).is_loopback:
        return True
    wanted = ATTRIBUTE.pack(ATTRIBUTE.size, IFA_LOCAL, socket.inet_aton(address))
    loopback = socket.if_nametoindex(LOOPBACK)
    try:
        return any(index == loopback and wanted in rest for index, rest in _addresses())
    except OSError as error:
        raise Unable(f"the kernel doesn't tell the addresses of {LOOPBACK}: {error}") from error


@contextlib.contextmanager
def of_this_machine(address: str) -> Iterator[None]:
    """While the block runs the address is this machine's.

    Raises:
        Unable: it can't be added.
    """
    hold(address)
    try:
        yield
    finally:
        if not ipaddress.IPv4Address(address).is_loopback:
            with contextlib.suppress(OSError):  # somebody removed it already
                _ask(RTM_DELADDR, 0, address)


def hold(address: str) -> None:
    """See that the address is this machine's, whether it was before or not.

    Raises:
        Unable: it can't be added.
    """
    if ipaddress.IPv4Address(address).is_loopback:
        return
    try:
        _ask(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address)
    except OSError as error:
        raise Unable(
            f"address {address} can't be added to the loopback interface: {error.strerror}; run"
            " the agent in a privileged pod with hostNetwork"
        ) from error


def _addresses() -> Iterator[tuple[int, bytes]]:
    """Of each address of this machine the interface's number, and all that is told of it."""
    with _kernel() as kernel:
        body = ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        head = HEAD.pack(HEAD.size + len(body), RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
        kernel.send(head + body)
        while True:
            told = kernel.recv(MOST_BYTES)
            while told:
                length, kind, *_ = HEAD.unpack_from(told)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise _error(STATUS.unpack_from(told, HEAD.size)[0])
                *_, index = ADDRESS.unpack_from(told, HEAD.size)
                yield index, told[HEAD.size + ADDRESS.size : length]
                told = told[-(-length // ALIGNED) * ALIGNED :]


def _ask(kind: int, flags: int, address: str) -> None:
    """Send one request, and raise what the kernel answers."""
    packed = socket.inet_aton(address)
    body = ADDRESS.pack(socket.AF_INET, HOST_BITS, 0, 0, socket.if_nametoindex(LOOPBACK))
    for attribute in (IFA_LOCAL, IFA_ADDRESS):
        body += ATTRIBUTE.pack(ATTRIBUTE.size, attribute, packed)
    length = HEAD.size + len(body)
    with _kernel() as kernel:
        kernel.send(HEAD.pack(length, kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        answer = kernel.recv(MOST_BYTES)
    (status,) = STATUS.unpack_from(answer, HEAD.size)
    if status and -status != errno.EEXIST:
        raise _error(status)


@contextlib.contextmanager
def _kernel() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
        kernel.settimeout(5.0)
        yield kernel


def _error(status: int) -> OSError:
    return OSError(-status, os.strerror(-status))
