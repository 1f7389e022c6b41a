"""The Identity service (CSI spec, Identity Service RPC)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from diskcsi._proto.csi import v1
from diskcsi.edge.built import Built
from diskcsi.telemetry.logging import logger

PROBE_S: Final = 2.0
"""A probe's time; below the three seconds that Kubernetes' liveness sidecar waits."""

_Service = v1.PluginCapabilityServiceType
_Expansion = v1.PluginCapabilityVolumeExpansionType


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What the plug-in can tell of itself once it is built.

    Attributes:
        expand: whether volumes can grow.
        check: returns when the plug-in can do its work; raises when it can't now.
    """

    expand: bool
    check: Callable[[], Awaitable[None]]


class IdentityService(v1.IdentityBase):
    """Who this plug-in is: the name and version at once, the rest when it is built."""

    def __init__(
        self,
        *,
        name: str,
        version: str,
        plugin: Built[PluginFacts],
    ) -> None:
        self._name = name
        self._version = version
        self._plugin = plugin

    async def get_plugin_info(
        self,
        get_plugin_info_request: v1.GetPluginInfoRequest,  # noqa: ARG002 - it is empty
    ) -> v1.GetPluginInfoResponse:
        """The driver's name and version."""
        return v1.GetPluginInfoResponse(name=self._name, vendor_version=self._version)

    async def get_plugin_capabilities(
        self,
        get_plugin_capabilities_request: v1.GetPluginCapabilitiesRequest,  # noqa: ARG002 - empty
    ) -> v1.GetPluginCapabilitiesResponse:
        """That there is a controller, that places matter, and how volumes grow.

        It tells of the plug-in as a whole: the half that serves nodes alone says so too.
        """
        served = [_Service.CONTROLLER_SERVICE, _Service.VOLUME_ACCESSIBILITY_CONSTRAINTS]
        told = [
            v1.PluginCapability(service=v1.PluginCapabilityService(type=_Service(kind)))
            for kind in served
        ]
        if (await self._plugin.get()).expand:
            online = v1.PluginCapabilityVolumeExpansion(type=_Expansion(_Expansion.ONLINE))
            told.append(v1.PluginCapability(volume_expansion=online))
        return v1.GetPluginCapabilitiesResponse(capabilities=told)

    async def probe(self, probe_request: v1.ProbeRequest) -> v1.ProbeResponse:  # noqa: ARG002
        """Whether the plug-in can work now.

        Not ready is an answer, not an error: an error would have the process restarted, and a
        restart mends no cloud (CSI spec, Probe).
        """
        try:
            async with asyncio.timeout(PROBE_S):
                await (await self._plugin.get()).check()
        except Exception as error:  # noqa: BLE001 - whatever ails it, the process itself answers
            logger().warning("not ready", reason=str(error) or type(error).__name__)
            return v1.ProbeResponse(ready=False)
        return v1.ProbeResponse(ready=True)
