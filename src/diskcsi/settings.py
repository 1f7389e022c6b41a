"""The driver's own settings, and how a settings class is filled from flags, environment and file.

Where several sources give a value the flag wins, then the environment, then the file, then the
default. A value that can't be read stops the start, and the message names its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from diskcsi.ports.provider import AnyProvider
from diskcsi.ports.settings import setting, settings_of

TRUE_WORDS: Final = frozenset({"true", "yes", "1", "on"})
FALSE_WORDS: Final = frozenset({"false", "no", "0", "off"})

NO_HTTP: Final = -1
"""The port that stands for "serve no HTTP"."""

MAX_PORT: Final = 65535

CONTROLLER_PORT: Final = 11270
NODE_PORT: Final = 11260
"""Where monitoring of the Go driver looks; two, since both may run on one host's network."""

IDENTITY_SOURCES: Final = ("virtio", "nvme", "loop")

SettingsT = TypeVar("SettingsT")


class SettingsError(Exception):
    """A setting can't be read or is missing; the message names it, its source and what is allowed."""


def _log_level(text: str) -> str:
    level = text.upper()
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("allowed are debug, info, warning, error")
    return level


def _log_format(text: str) -> str:
    if text not in ("json", "text"):
        raise ValueError("allowed are json, text")
    return text


def _endpoint(text: str) -> str:
    if not text.startswith("unix:///") or text.endswith("/"):
        raise ValueError("allowed is unix:///PATH")
    return text


def _port(text: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = NO_HTTP - 1
    if not NO_HTTP <= port <= MAX_PORT:
        raise ValueError(f"allowed are ports from 0 to {MAX_PORT}, and {NO_HTTP} for none")
    return port


def _directory(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("allowed is an absolute path")
    return text.rstrip("/")


def _sources(text: str) -> tuple[str, ...]:
    sources = _comma_list(text)
    if not sources or not set(sources) <= set(IDENTITY_SOURCES):
        raise ValueError(f"allowed is a comma list of {', '.join(IDENTITY_SOURCES)}")
    return sources


def _limit(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("allowed are whole numbers from 0; 0 asks the provider")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the driver itself can be told; every provider adds its own."""

    endpoint: str = setting(
        default="unix:///var/run/csi/csi.sock",
        env=("CSI_ENDPOINT",),
        parse=_endpoint,
        help="the unix socket that the sidecars and kubelet call, as unix:///PATH",
    )
    driver: str = setting(
        default="", help="the CSI driver name; the provider's own where none is given"
    )
    run_controller_service: bool = setting(
        default=True, help="serve the controller; needs credentials, one per cluster"
    )
    run_node_service: bool = setting(
        default=True, help="serve the node; needs the machine's devices, one per machine"
    )
    http_host: str = setting(
        default="127.0.0.1",
        env=("SERVICE_HOST",),
        help="the address of /metrics, /healthz and /readyz; 0.0.0.0 to let probes in",
    )
    http_port: int | None = setting(
        default=None,
        env=("SERVICE_PORT",),
        parse=_port,
        help="the port of /metrics, /healthz and /readyz; 0 takes any free one, -1 serves none; by"
        f" default {CONTROLLER_PORT}, and {NODE_PORT} where the node alone is served",
    )
    log_level: str = setting(
        default="INFO", env=("LOG_LEVEL",), parse=_log_level, help="debug, info, warning or error"
    )
    logging_format: str = setting(
        default="json", parse=_log_format, help="json for machines, text for people"
    )
    drain_s: float = setting(
        default=20.0,
        help="seconds that running calls get after SIGTERM; below Kubernetes' grace of 30",
    )
    flight_s: float = setting(
        default=300.0,
        help="seconds that the work behind one call may take, however often the call is retried",
    )
    kubelet_root_dir: str = setting(
        default="/var/lib/kubelet",
        env=("KUBELET_ROOT_DIR",),
        help="kubelet's directory; the device it lives on is never touched",
    )
    registration_dir: str = setting(
        default="",
        env=("DISKCSI_REGISTRATION_DIR",),
        parse=_directory,
        help="kubelet's plugins_registry, where the node makes itself known; empty: a"
        " node-driver-registrar does that",
    )
    node_labels: bool = setting(
        default=False,
        env=("DISKCSI_NODE_LABELS",),
        help="ask Kubernetes for this node's Node object where the machine has no metadata service;"
        " needs the permission to get nodes",
    )
    kube_node_name: str = setting(
        default="", env=("KUBE_NODE_NAME",), help="the name of this node's Node object"
    )
    kube_api_host: str = setting(
        default="",
        env=("KUBERNETES_SERVICE_HOST",),
        help="Kubernetes' API server; its address stands in every pod's environment",
    )
    kube_api_port: int = setting(
        default=443, env=("KUBERNETES_SERVICE_PORT",), parse=_port, help="its port"
    )
    service_account_dir: str = setting(
        default="/var/run/secrets/kubernetes.io/serviceaccount",
        parse=_directory,
        help="the files token and ca.crt, with which Kubernetes is asked",
    )
    device_root: str = setting(default="/dev", help="where this machine's device nodes are")
    sysfs_root: str = setting(default="/sys", help="where the kernel tells of its devices")
    identity_sources: tuple[str, ...] = setting(
        default=("virtio", "nvme"),
        parse=_sources,
        help="which devices' words count when a disk is recognized: virtio, nvme; loop for tests",
    )
    device_wait_s: float = setting(
        default=30.0, help="seconds in which an attached disk must appear as a device"
    )
    max_volumes_per_node: int = setting(
        default=0,
        env=("MAX_VOLUMES_PERNODE",),
        parse=_limit,
        help="volumes that this node takes; 0: by the machine's type, less the disks not ours",
    )
    disable_fs_check: bool = setting(
        default=False,
        env=("DISABLE_FS_CHECK",),
        help="mount without checking the filesystem first",
    )
    default_fs_type: str = setting(
        default="ext4", help="the filesystem made where a volume names none"
    )

    def __post_init__(self) -> None:
        if not self.run_controller_service and not self.run_node_service:
            raise ValueError("neither the controller nor the node is served: switch one on")
        if self.registration_dir and not self.run_node_service:
            raise ValueError(
                "registration_dir is for the node, which is not served: leave it out, or set"
                " run_node_service"
            )
        if self.node_labels and self.run_node_service and not self.kube_node_name:
            raise ValueError(
                "node_labels needs the node's name: set KUBE_NODE_NAME to the pod's spec.nodeName"
            )

    @property
    def socket_path(self) -> str:
        """The path of the unix socket."""
        return self.endpoint.removeprefix("unix://")

    @property
    def metrics_port(self) -> int:
        """The port to serve metrics and checks on; `NO_HTTP`: none."""
        if self.http_port is not None:
            return self.http_port
        return CONTROLLER_PORT if self.run_controller_service else NODE_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one process serves: the driver's settings, the provider, and the provider's own.

    Attributes:
        warnings: what was asked for in vain, to be told in the log.
    """

    settings: Settings
    provider: AnyProvider
    provider_settings: Any
    warnings: tuple[str, ...] = ()

    @property
    def driver_name(self) -> str:
        """The CSI driver name: the operator's, else the provider's."""
        return self.settings.driver or self.provider.driver_name


def fill(
    settings_type: type[SettingsT],
    *,
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    file: Mapping[str, object],
) -> SettingsT:
    """A settings object from its sources; `flags` and `file` are keyed by field name.

    Raises:
        SettingsError: a value can't be read, a required one is missing, the file has an unknown
            key, or the values contradict each other.
    """
    declared = settings_of(settings_type)
    if unknown := sorted(set(file) - set(declared)):
        raise SettingsError(
            f"the file has unknown settings {', '.join(unknown)};"
            f" allowed are {', '.join(sorted(declared))}"
        )
    hints = get_type_hints(settings_type)
    values: dict[str, Any] = {}
    for name, told in declared.items():
        variable = next((env for env in told.env if environment.get(env)), None)
        if flags.get(name) is not None:
            given, source = flags[name], f"flag --{name.replace('_', '-')}"
        elif variable is not None:
            given, source = environment[variable], f"environment {variable}"
        elif name in file:
            given, source = file[name], f"file setting {name}"
        else:
            continue
        values[name] = _read(given, told.parse or _parser(hints[name]), source)
    _refuse_missing(settings_type, values)
    try:
        return settings_type(**values)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _read(given: object, parse: Callable[[str], Any], source: str) -> object:
    text = ",".join(map(str, given)) if isinstance(given, (list, tuple)) else str(given)
    try:
        return parse(text.strip())
    except ValueError as error:
        raise SettingsError(f"{source} can't be read: {error}") from error


def _refuse_missing(settings_type: type, values: Mapping[str, object]) -> None:
    for item in fields(settings_type):
        required = item.default is item.default_factory  # both MISSING
        if required and item.name not in values:
            told = settings_of(settings_type)[item.name]
            ways = [f"--{item.name.replace('_', '-')}"] * (not told.secret) + list(told.env)
            raise SettingsError(f"{item.name} is required: give {' or '.join(ways)} ({told.help})")


def _parser(hint: object) -> Callable[[str], Any]:
    if get_origin(hint) is tuple:
        return _comma_list
    if type(None) in get_args(hint):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    parsers: dict[object, Callable[[str], Any]] = {
        bool: _boolean, int: _integer, float: _number, str: str,
    }  # fmt: skip
    return parsers[hint]


def _boolean(text: str) -> bool:
    if text.lower() in TRUE_WORDS:
        return True
    if text.lower() in FALSE_WORDS:
        return False
    raise ValueError(f"allowed are {', '.join(sorted(TRUE_WORDS) + sorted(FALSE_WORDS))}")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("allowed is a whole number") from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):  # which nan is not either
        raise ValueError("allowed is a number from 0")
    return number


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
