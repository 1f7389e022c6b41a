"""What Kubernetes says of the node that this agent runs on."""

from __future__ import annotations

import hashlib
import ssl
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ANSWER_S: Final = 10.0
ZONE: Final = "topology.kubernetes.io/zone"
REGION: Final = "topology.kubernetes.io/region"
TYPE: Final = "node.kubernetes.io/instance-type"
ID_LENGTH: Final = 20
DIGITS: Final = string.digits + string.ascii_lowercase


class Away(Exception):  # noqa: N818 - reads as what is so
    """Kubernetes doesn't answer, or not as it should; it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Who and where a node is; what isn't known is empty."""

    name: str
    instance: str
    zone: str = ""
    region: str = ""
    instance_type: str = ""

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> NodeFacts:
        """Those of a Node object."""
        meta = node["metadata"]
        labels = meta.get("labels") or {}
        info = node.get("status", {}).get("nodeInfo", {})
        name = str(meta["name"])
        return cls(
            name=name,
            instance=instance_id(name, info.get("systemUUID") or meta["uid"]),
            zone=labels.get(ZONE, ""),
            region=labels.get(REGION, ""),
            instance_type=labels.get(TYPE, ""),
        )


def instance_id(name: str, system: str) -> str:
    """The same for one machine always; one that takes over its name has another.

    Args:
        system: what tells the machine from others, such as its system UUID.
    """
    number = int.from_bytes(hashlib.sha256(f"{name}/{system}".encode()).digest())
    digits = []
    for _ in range(ID_LENGTH):
        number, rest = divmod(number, len(DIGITS))
        digits.append(DIGITS[rest])
    return f"i-{''.join(digits)}"


async def read_node(name: str, *, host: str, port: str, account: Path = ACCOUNT) -> NodeFacts:
    """Ask the API server that pods of the cluster are told of.

    Raises:
        Away: it can't be asked, or refuses.
    """
    try:
        token = (account / "token").read_text().strip()
        trusted = ssl.create_default_context(cafile=account / "ca.crt")
    except OSError as error:
        raise Away(f"there is no service account: {error}") from error
    where = f"[{host}]" if ":" in host else host
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http,
            http.get(
                f"https://{where}:{port}/api/v1/nodes/{name}",
                headers={"Authorization": f"Bearer {token}"},
                ssl=trusted,
            ) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 - HTTP
                raise Away(f"the API server answers {answer.status} when asked for node {name}")
            return NodeFacts.of(await answer.json())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Away(f"the API server can't be asked for node {name}: {error!r}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Away(f"the API server, asked for node {name}, answers with something else") from error
