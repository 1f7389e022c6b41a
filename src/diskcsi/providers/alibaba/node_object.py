"""Who and where this machine is, by its Node object.

The controller manager of the cloud writes `spec.providerID` as `REGION.INSTANCE`, and labels. The
id of the machine is taken from there first, since of all these words it alone can never be changed;
the label is also written by the driver's own registration.
"""

from __future__ import annotations

import re
from typing import Final

from diskcsi.ports.cluster import Cluster, ClusterNode
from diskcsi.providers.alibaba.known import Known

PROVIDER_ID: Final = re.compile(
    r"(?P<region>[a-z]{2}(?:-[a-z0-9]+)+)\.(?P<node_id>(?:i|eci|acs)-[a-z0-9]+)"
)
ID_LABEL: Final = "alibabacloud.com/ecs-instance-id"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
REGION_LABEL: Final = "topology.kubernetes.io/region"
TYPE_LABEL: Final = "node.kubernetes.io/instance-type"


class NodeObject:
    """Facts from the Node object.

    Args:
        id_label: the label that the operator's own tools write the machine's id to; before all
            else where it is given.
    """

    def __init__(self, cluster: Cluster, *, id_label: str) -> None:
        self._cluster = cluster
        self._id_label = id_label

    async def known(self) -> Known:
        """What the Node object tells, read now.

        Raises:
            Unreachable: Kubernetes doesn't show it.
        """
        return _told(await self._cluster.node(), self._id_label)


def _told(node: ClusterNode, id_label: str) -> Known:
    by_id = PROVIDER_ID.fullmatch(node.provider_id)
    label = node.labels.get
    return Known(
        node_id=(label(id_label, "") if id_label else "")
        or (by_id["node_id"] if by_id else "")
        or label(ID_LABEL, ""),
        zone=label(ZONE_LABEL, ""),
        region=label(REGION_LABEL, "") or (by_id["region"] if by_id else ""),
        instance_type=label(TYPE_LABEL, ""),
    )
