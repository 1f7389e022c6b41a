"""Fields whose values must never be logged or shown, by message.

Generated from protos/ by tools/protos.py: the generated messages don't keep the mark.
"""

from typing import Final

SECRET_FIELDS: Final[dict[str, frozenset[str]]] = {
    "ControllerExpandVolumeRequest": frozenset({"secrets"}),
    "ControllerGetVolumeHealthRequest": frozenset({"secrets"}),
    "ControllerListVolumeHealthRequest": frozenset({"secrets"}),
    "ControllerModifyVolumeRequest": frozenset({"secrets"}),
    "ControllerPublishVolumeRequest": frozenset({"secrets"}),
    "ControllerUnpublishVolumeRequest": frozenset({"secrets"}),
    "CreateSnapshotRequest": frozenset({"secrets"}),
    "CreateVolumeGroupSnapshotRequest": frozenset({"secrets"}),
    "CreateVolumeRequest": frozenset({"secrets"}),
    "DeleteSnapshotRequest": frozenset({"secrets"}),
    "DeleteVolumeGroupSnapshotRequest": frozenset({"secrets"}),
    "DeleteVolumeRequest": frozenset({"secrets"}),
    "GetMetadataAllocatedRequest": frozenset({"secrets"}),
    "GetMetadataDeltaRequest": frozenset({"secrets"}),
    "GetSnapshotRequest": frozenset({"secrets"}),
    "GetVolumeGroupSnapshotRequest": frozenset({"secrets"}),
    "ListSnapshotsRequest": frozenset({"secrets"}),
    "NodeExpandVolumeRequest": frozenset({"secrets"}),
    "NodeGetStorageHealthRequest": frozenset({"secrets"}),
    "NodePublishVolumeRequest": frozenset({"secrets"}),
    "NodeStageVolumeRequest": frozenset({"secrets"}),
    "ValidateVolumeCapabilitiesRequest": frozenset({"secrets"}),
}
