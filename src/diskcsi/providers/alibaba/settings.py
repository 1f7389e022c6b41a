"""What the Alibaba provider can be told; names of the environment are those of the Go driver."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from diskcsi.ports.settings import setting

REGION: Final = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")

Headers: TypeAlias = tuple[tuple[str, str], ...]

HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~\-]+")
OWN_HEADERS: Final = frozenset({"content-length", "content-type", "host", "transfer-encoding"})

LONGEST_S: Final = 300
"""Of one call: a flight's whole budget."""

ENDPOINT: Final = re.compile(r"([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
"""A host's name or address, and perhaps a port."""

DiskQuantities: TypeAlias = tuple[tuple[str, int], ...]
"""Types of machines, and how many disks each takes, its system disk among them."""

INSTANCE_TYPE: Final = re.compile(r"ecs(\.[a-z0-9]+(-[a-z0-9]+)*){2}")
"""Family and size, such as ecs.u1-c1m4.xlarge."""

MOST_DISKS: Final = 256
"""Far above every figure that is published: more is a slip of the hand."""

METADATA_URL: Final = "http://100.100.100.200"
"""Where every ECS machine finds its own metadata (ECS user guide, instance metadata)."""


def _scheme(text: str) -> str:
    if text.lower() not in ("http", "https"):
        raise ValueError("allowed are http, https")
    return text.lower()


def _headers(text: str) -> Headers:
    """One `Name: value` a line; a message must not repeat a value, which may be a secret."""
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not HEADER_NAME.fullmatch(name):
            raise ValueError("allowed is one `Name: value` a line")
        if not value.isprintable():
            raise ValueError(f"the value of {name} has characters that no header can carry")
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"{name} is set by the driver")
        headers[name.lower()] = value
    return tuple(headers.items())


def _disk_quantities(text: str) -> DiskQuantities:
    quantities: dict[str, int] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, _, number = (part.strip() for part in item.partition("="))
        if not INSTANCE_TYPE.fullmatch(name):
            raise ValueError(
                f"{name!r} is no type of machine; allowed is a list of TYPE=NUMBER, such as"
                " ecs.g6.large=17"
            )
        if not re.fullmatch(r"[1-9][0-9]{0,2}", number) or int(number) > MOST_DISKS:
            raise ValueError(
                f"{number!r} for {name}: allowed are whole numbers from 1 to {MOST_DISKS}"
            )
        if name in quantities:
            raise ValueError(f"{name} is told twice")
        quantities[name] = int(number)
    return tuple(quantities.items())


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("allowed are whole numbers from 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"allowed are seconds above 0, up to {LONGEST_S}")
    return seconds


def _url(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("allowed is a URL that begins with http:// or https://")
    return text.rstrip("/")


def _proxy(text: str) -> str:
    if not text.startswith("http://"):
        raise ValueError("allowed is a URL that begins with http://")  # it may hold a password
    return text.rstrip("/")


def _network(text: str) -> str:
    if text not in ("vpc", "public"):
        raise ValueError("allowed are vpc, public")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class AlibabaSettings:
    """One account's disks in one region."""

    region: str = setting(
        default="", env=("REGION_ID",), help="region of the disks, such as cn-hangzhou"
    )
    ecs_endpoint: str = setting(
        default="",
        env=("ECS_ENDPOINT",),
        help="host and port of the ECS API; by default the region's own, by network_type",
    )
    ecs_scheme: str = setting(
        default="https",
        env=("ALICLOUD_CLIENT_SCHEME",),
        parse=_scheme,
        help="https, or http for a server on this machine",
    )
    network_type: str = setting(
        default="vpc",
        env=("ALIBABA_CLOUD_NETWORK_TYPE",),
        parse=_network,
        help="vpc: the endpoint inside the private network; public: the one outside",
    )
    proxy: str = setting(
        default="",
        env=("DISKCSI_PROXY",),
        secret=True,
        parse=_proxy,
        help="proxy for the calls to the ECS API, as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
    )
    http_headers: tuple[tuple[str, str], ...] = setting(
        default=(),
        env=("ALIBABA_CLOUD_HTTP_HEADERS",),
        secret=True,
        parse=_headers,
        help="headers of every call to the cloud, as some private clouds want them; one"
        " `Name: value` a line",
    )
    ecs_headers: tuple[tuple[str, str], ...] = setting(
        default=(),
        env=("ECS_HEADERS",),
        secret=True,
        parse=_headers,
        help="the same for calls to ECS alone; of a header that stands in both, this one counts",
    )
    access_key_id: str = setting(
        default="",
        env=("ALIBABA_CLOUD_ACCESS_KEY_ID", "ACCESS_KEY_ID"),
        secret=True,
        help="id of the key pair that signs the calls; for the controller only",
    )
    access_key_secret: str = setting(
        default="",
        env=("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ACCESS_KEY_SECRET"),
        secret=True,
        help="secret of the key pair",
    )
    security_token: str = setting(
        default="",
        env=("ALIBABA_CLOUD_SECURITY_TOKEN",),
        secret=True,
        help="session token of a temporary key pair",
    )
    credentials_dir: str = setting(
        default="",
        env=("DISKCSI_CREDENTIALS_DIR",),
        help="directory of a mounted Secret with the files id, secret and perhaps token; wins over"
        " the environment and is read again when it changes",
    )
    connect_timeout_s: float = setting(
        default=3.0,
        parse=_seconds,
        help="seconds to connect to the API; within a region it takes milliseconds",
    )
    call_timeout_s: float = setting(
        default=12.0,
        parse=_seconds,
        help="seconds for one whole call; below the sidecars' shortest timeout of 15",
    )
    cluster_id: str = setting(
        default="",
        env=("CLUSTER_ID",),
        help="the cluster's id, put on disks as the tag ack.aliyun.com",
    )
    private_topology_key: bool = setting(
        default=False,
        env=("PRIVATE_TOPOLOGY_KEY",),
        help="put the driver's own zone key on new volumes, not topology.kubernetes.io/zone",
    )
    attach_concurrency: int = setting(
        default=0,
        env=("DISK_ATTACH_CONCURRENCY",),
        parse=_count,
        help="attaches at once on one node, where the account allows it; 0: one change at a time",
    )
    detach_concurrency: int = setting(
        default=0,
        env=("DISK_DETACH_CONCURRENCY",),
        parse=_count,
        help="detaches at once on one node, where the account allows it; 0: one change at a time",
    )
    metadata_url: str = setting(
        default=METADATA_URL,
        env=("DISKCSI_METADATA_URL",),
        parse=_url,
        help="the machine's metadata service; empty: never ask it",
    )
    metadata_off: bool = setting(
        default=False,
        env=("ALIBABA_CLOUD_NO_ECS_METADATA",),
        help="never ask the machine's metadata service",
    )
    nodeid: str = setting(
        default="", help="this machine's instance id, where neither metadata nor the Node tells it"
    )
    zone: str = setting(
        default="",
        env=("ZONE_ID",),
        help="this machine's zone, where neither metadata nor the Node tells it",
    )
    instance_type: str = setting(
        default="",
        env=("INSTANCE_TYPE",),
        help="this machine's type, where neither metadata nor the Node tells it",
    )
    disk_quantities: tuple[tuple[str, int], ...] = setting(
        default=(),
        env=("DISKCSI_DISK_QUANTITIES",),
        parse=_disk_quantities,
        help="how many disks types of machines take, the system disk among them: a list of"
        " TYPE=NUMBER, the cloud's DiskQuantity; wins over the few figures that are built in",
    )
    node_id_label: str = setting(
        default="",
        env=("NODE_LABEL_ECS_ID_KEY",),
        help="a label of Nodes that holds the instance id; before spec.providerID where it is given",
    )

    def __post_init__(self) -> None:
        if self.region and not REGION.fullmatch(self.region):
            raise ValueError(f"region {self.region!r} is no region's id, such as cn-hangzhou")
        if self.ecs_endpoint and not ENDPOINT.fullmatch(self.ecs_endpoint):
            raise ValueError(
                f"ecs_endpoint {self.ecs_endpoint!r} is not a host and perhaps a port;"
                " its scheme is ecs_scheme"
            )

    @property
    def headers(self) -> Headers:
        """What is sent with every call to ECS, beside the driver's own headers."""
        return tuple({**dict(self.http_headers), **dict(self.ecs_headers)}.items())

    @property
    def endpoint(self) -> str:
        """The API's base URL."""
        inside = "-vpc" if self.network_type == "vpc" else ""
        host = self.ecs_endpoint or f"ecs{inside}.{self.region}.aliyuncs.com"
        return f"{self.ecs_scheme}://{host}"
