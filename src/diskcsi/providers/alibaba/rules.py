"""What the rules need to know of this vendor: keys, sizes, slots, and how a disk is recognized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from diskcsi.model.ids import VolumeId
from diskcsi.model.topology import Segments, TopologyKeys
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.ports.provider import DeviceRules, NodeSlots, Rules
from diskcsi.providers.alibaba.limits import DISKS, UNKNOWN_HINT
from diskcsi.providers.alibaba.parameters import snapshot_parameters, volume_parameters
from diskcsi.providers.alibaba.schemas import VOLUME_SCHEMA
from diskcsi.providers.alibaba.settings import AlibabaSettings

STANDARD_ZONE: Final = "topology.kubernetes.io/zone"
PRIVATE_ZONE: Final = "topology.diskplugin.csi.alibabacloud.com/zone"
STANDARD_REGION: Final = "topology.kubernetes.io/region"
PRIVATE_REGION: Final = "topology.diskplugin.csi.alibabacloud.com/region"
INSTANCE_KEY: Final = "alibabacloud.com/ecs-instance-id"

SERIAL_KEY: Final = "serialNumber"
"""In the publish context, as the Go driver writes it."""


def rules_for(settings: AlibabaSettings) -> Rules:
    """The rules of one account and region."""
    private = settings.private_topology_key
    zones = (PRIVATE_ZONE, STANDARD_ZONE) if private else (STANDARD_ZONE, PRIVATE_ZONE)
    regions = (PRIVATE_REGION, STANDARD_REGION) if private else (STANDARD_REGION, PRIVATE_REGION)

    def segments(facts: NodeFacts) -> Segments:
        own_zone = {PRIVATE_ZONE: facts.zone}
        return {
            **(own_zone if private else {STANDARD_ZONE: facts.zone, **own_zone}),
            regions[0]: facts.region,
            INSTANCE_KEY: facts.node_id,
        }

    return Rules(
        volume_schema=VOLUME_SCHEMA,
        volume_parameters=volume_parameters,
        snapshot_parameters=snapshot_parameters,
        topology=TopologyKeys(zone=zones, region=regions),
        segments=segments,
        devices=DeviceRules(
            serial=_serial,
            by_id_patterns=(
                "virtio-{serial}",
                "nvme-Alibaba_Cloud_Elastic_Block_Storage_{serial}",
            ),
        ),
        region=settings.region,
        slots=_slots(settings),
        volume_limit={**DISKS, **dict(settings.disk_quantities)}.get,
        volume_limit_hint=UNKNOWN_HINT,
        publish_context=lambda disk: {SERIAL_KEY: disk.serial},
    )


def _slots(settings: AlibabaSettings) -> NodeSlots:
    if not settings.attach_concurrency and not settings.detach_concurrency:
        return NodeSlots(attach=1, shared=True)
    return NodeSlots(
        attach=max(settings.attach_concurrency, 1),
        detach=max(settings.detach_concurrency, 1),
        shared=False,
    )


def _serial(volume_id: VolumeId, context: Mapping[str, str]) -> str:
    """The controller's word; without one, the id, which is the serial of all but old disks."""
    return context.get(SERIAL_KEY, volume_id.removeprefix("d-"))
