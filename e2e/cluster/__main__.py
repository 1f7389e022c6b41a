"""The command line: `python -m e2e.cluster up|down|programs`."""

from __future__ import annotations

import sys

import click

from e2e.cluster.lock import alone
from e2e.cluster.place import here
from e2e.cluster.shell import CommandFailed
from e2e.cluster.up import Cluster


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A kind cluster with the driver and a mock of the cloud, in which volumes are real.

    DISKCSI_CACHE names the directory of what is built; E2E_DOCKERD=own starts a docker daemon
    there, for this alone (as root on Debian).
    """


@main.command()
def up() -> None:
    """Make the cluster, or bring one that is there up to date."""
    place = here()
    with alone(place):
        Cluster(place=place).up()


@main.command()
@click.argument("modules", nargs=-1, required=True)
def programs(modules: tuple[str, ...]) -> None:
    """Build the programs of MODULES unless the cache has them, and print their directories.

    The modules are the directories below e2e/cluster/modules: kind, helm, kubernetes (kubectl is
    Kubernetes'), and others.
    """
    for directory in Cluster(place=here()).programs(modules):
        print(directory)


@main.command()
def down() -> None:
    """Take it away: containers, network, devices and a docker daemon of our own."""
    place = here()
    with alone(place):
        Cluster(place=place).down()


if __name__ == "__main__":
    try:
        main(prog_name="python -m e2e.cluster")
    except CommandFailed as error:
        sys.exit(f"\n{error}")
