"""The network of a docker daemon of our own: one bridge with a name, and three rules for it.

A daemon that makes rules flushes chains of docker's names when it starts, and another daemon's rules
are in them: published ports of that one would be closed. So ours makes none, and what the nodes
need stands here, by our bridge's name.
"""

from __future__ import annotations

from typing import Final

from e2e.cluster.place import NETWORK
from e2e.cluster.shell import Shell

BRIDGE: Final = NETWORK
"""The interface; Linux allows 15 characters."""

IPTABLES: Final = "/usr/sbin/iptables"
"""Not on every root's PATH."""

ADDRESS_POOL: Final = "172.30.0.0/15"
"""For our daemon's networks; another daemon begins at 172.17."""

RULES: Final = (
    ("filter", "FORWARD", "--in-interface", BRIDGE, "--jump", "ACCEPT"),
    (
        "filter", "FORWARD", "--out-interface", BRIDGE,
        "--match", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "--jump", "ACCEPT",
    ),
    ("nat", "POSTROUTING", "--source", ADDRESS_POOL, "!", "--out-interface", BRIDGE,
     "--jump", "MASQUERADE"),
)  # fmt: skip
"""Table, chain and words. Nodes reach each other, though another daemon has the host drop what it
forwards, and the world, from which only answers come in."""


def ensure(shell: Shell) -> None:
    """Make what is missing of it: a reboot takes the rules and leaves the network.

    Raises:
        CommandFailed: docker or iptables refuses.
    """
    if not shell.holds("docker", "network", "inspect", NETWORK):
        shell.run(
            "docker", "network", "create", "--driver", "bridge",
            "--opt", f"com.docker.network.bridge.name={BRIDGE}", NETWORK,
        )  # fmt: skip
    for table, chain, *words in RULES:
        if not shell.holds(IPTABLES, "--table", table, "--check", chain, *words):
            # before others' rules, which may end in a refusal of all
            shell.run(IPTABLES, "--table", table, "--insert", chain, *words)


def remove_rules(shell: Shell) -> None:
    """Take the rules away, each as often as it is there."""
    for table, chain, *words in RULES:
        while shell.holds(IPTABLES, "--table", table, "--delete", chain, *words):
            pass
