"""The network of a docker daemon of our own: one bridge with a name, and a few rules for it.

A daemon that makes rules flushes chains of docker's names when it starts, and another daemon's rules
are in them: published ports of that one would be closed. So ours makes none, and what the nodes
need stands here, by our bridge's name. Such a daemon lets the machine forward packets, and drops none:
what nobody asked for is dropped here, and forwarding ends with the cluster if it began with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e2e.cluster.place import NETWORK
from e2e.cluster.shell import CommandFailed, Shell

BRIDGE: Final = NETWORK
"""The interface; Linux allows 15 characters."""

IPTABLES: Final = "/usr/sbin/iptables"
"""Not on every root's PATH."""

ADDRESS_POOL: Final = "172.30.0.0/15"
"""For our daemon's networks; another daemon begins at 172.17."""

SUBNET: Final = "172.30.0.0/24"
"""Of the bridge, out of the pool: what else the machine forwards isn't ours to translate."""

FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
FORMER: Final = Path("/run/diskcsi-e2e.ip_forward")
"""Whether the machine forwarded before; a reboot forgets both."""

LOCK_S: Final = "30"
"""For another program that is changing rules."""

RULES: Final = (
    ("filter", "FORWARD", "--in-interface", BRIDGE, "--jump", "ACCEPT"),
    (
        "filter", "FORWARD", "--out-interface", BRIDGE,
        "--match", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "--jump", "ACCEPT",
    ),
    (
        "filter", "FORWARD", "!", "--in-interface", BRIDGE, "--out-interface", BRIDGE,
        "--match", "conntrack", "!", "--ctstate", "RELATED,ESTABLISHED", "--jump", "DROP",
    ),
    ("nat", "POSTROUTING", "--source", SUBNET, "!", "--out-interface", BRIDGE,
     "--jump", "MASQUERADE"),
)  # fmt: skip
"""Table, chain and words, in any order. Nodes reach each other, though another daemon has the host
drop what it forwards, and the world, from which only answers come in."""


def ensure(shell: Shell) -> None:
    """Make what is missing of it: a reboot takes the rules and leaves the network.

    Raises:
        CommandFailed: docker or iptables refuses, or the network is another one.
    """
    if shell.holds("docker", "network", "inspect", NETWORK):
        _refuse_another(shell)
    else:
        shell.run(
            "docker", "network", "create", "--driver", "bridge", "--subnet", SUBNET,
            "--opt", f"com.docker.network.bridge.name={BRIDGE}", NETWORK,
        )  # fmt: skip
    for table, chain, *words in RULES:
        if not shell.holds(IPTABLES, "--table", table, "--check", chain, *words, "--wait", LOCK_S):
            # before others' rules, which may end in a refusal of all
            shell.run(IPTABLES, "--table", table, "--insert", chain, *words, "--wait", LOCK_S)


def remove_rules(shell: Shell) -> None:
    """Take the rules away, each as often as it is there."""
    for table, chain, *words in RULES:
        while shell.holds(IPTABLES, "--table", table, "--delete", chain, *words, "--wait", LOCK_S):
            pass


def note_forwarding() -> None:
    """Write down whether the machine forwards, before a daemon lets it."""
    if not FORMER.exists():
        FORMER.write_text(FORWARDING.read_text())


def restore_forwarding(shell: Shell) -> None:
    """Let the machine forward no more if it didn't before, unless somebody else has rules for it by now."""
    if not FORMER.exists():
        return
    others = shell.run(IPTABLES, "--list-rules", "FORWARD", "--wait", LOCK_S).splitlines()
    if FORMER.read_text().strip() == "0" and not any(line.startswith("-A") for line in others):
        FORWARDING.write_text("0")
    FORMER.unlink()


def _refuse_another(shell: Shell) -> None:
    told = '{{index .Options "com.docker.network.bridge.name"}} {{range .IPAM.Config}}{{.Subnet}}{{end}}'
    there = shell.run("docker", "network", "inspect", "--format", told, NETWORK).strip()
    if there != f"{BRIDGE} {SUBNET}":
        raise CommandFailed(
            f"the docker network {NETWORK} that is there has bridge and addresses {there!r}, and what"
            f" is wanted is {BRIDGE} {SUBNET}: another version has made it. Run `make e2e-down`, with"
            " all that is in the cluster, and it is made anew"
        )
