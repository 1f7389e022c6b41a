"""The one table from ECS codes to classes of our errors.

A code means one thing wherever it can; where a call gives it another meaning, the call's own row
wins. What no row knows is read from the HTTP status, and never as `NotFound`, which deleting and
detaching take for success.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from diskcsi.model.errors import (
    AlreadyExists,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    InvalidArgument,
    NodeBusy,
    NotFound,
    OutOfRange,
    Pending,
    Throttled,
    Unreachable,
    WrongState,
)

Kind = type[DiskError]


def _rows(kind: Kind, codes: str) -> dict[str, Kind]:
    return dict.fromkeys(codes.split(), kind)


BY_CODE: Final[Mapping[str, Kind]] = {
    **_rows(NotFound, """
        InvalidDiskId.NotFound InvalidInstanceId.NotFound InvalidSnapshotId.NotFound
        InvalidSnapshot.NotFound Forbidden.DiskNotFound Forbidden.InstanceNotFound
    """),
    **_rows(AlreadyExists, "IdempotentParameterMismatch InvalidIdempotenceParameter.Mismatch"),
    **_rows(Denied, """
        Forbidden Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser Forbbiden.SubUser
        Forbedden.NotSupportRAM NoPermission NotAuthorized UserNotInTheWhiteList
        InvalidDiskCategory.ValueUnauthorized UnsupportedOperation
        InvalidParameter.KMSKeyId.CMKUnauthorized InvalidParameter.KMSKeyId.KMSUnauthorized
    """),
    **_rows(Exhausted, """
        InvalidDataDiskCategory.NotSupported InvalidDataDiskCategory.ValueNotSupported
        InvalidDiskCategory.NotSupported InvalidDiskCategory.ValueNotSupported
        InvalidDiskSizeOrCategory Zone.NotOnSale OperationDenied OperationDenied.NoStock
        OperationDenied.ZoneNotAllowed OperationDenied.CloudSSDNotSupported
        OperationDenied.ZoneNotSupportMultiAttachDisk
        InvalidPerformanceLevel.Malformed InvalidPerformanceLevel.ValueNotSupported
        QuotaExceed.DiskCapacity QuotaExceed.PortableCloudDisk QuotaExceed.PostPaidDisk
        QuotaExceed.ElasticQuota QuotaExceeded.PostpaidDataDiskCapacity QuotaExceed.Snapshot
        InstanceDiskLimitExceeded DiskAttachedNumberExceeded
        InvalidOperation.DiskQueueNumberNotEnough Account.Arrearage
        InvalidAccountStatus.NotEnoughBalance InvalidAccountStatus.SnapshotServiceUnavailable
    """),
    **_rows(OutOfRange, """
        InvalidDiskSize.NotSupported InvalidDataDiskSize.ValueNotSupported InvalidDiskSize.TooLarge
        InvalidDiskSize.TooSmall InvalidDiskSize OperationDenied.PerformanceLevelNotMatch
        InvalidProvisionedIops.LimitExceed InvalidBurstingEnabled.DiskSizeTooSmall
        InvalidDiskSize.NotSupportMultiAttachDisk
    """),
    **_rows(InUse, "InvalidDisk.InUse DiskStillAttached"),
    **_rows(Pending, """
        LastTokenProcessing IdempotentProcessing LastOrderProcessing OperationConflict
        Operation.Conflict OperationConflict.DisksAttachingParallellyExceed
        IncorrectInstanceStatus IncorrectInstanceStatus.Initializing
        IncorrectDiskStatus IncorrectDiskStatus.Initializing
        IncorrectDiskStatus.CreatingSnapshot IncorrectDiskStatus.TooManyCreatingSnapshots
        IncorrectDiskStatus.Transferring IncorrectDiskStatus.InReplication
        DISK_HAS_CREATING_SNAPSHOT DiskCreatingSnapshot InvalidStatus.Upgrading
        InvalidOperation.DiskDetachingFromThisEcs
        InvalidSnapshotId.NotReady InvalidSnapshot.NotReady
        InvalidOperation.RelatedSnapshotNotFinished QuotaExceed.ConcurrentSnapshotQuota
    """),
    **_rows(NodeBusy, "InvalidOperation.Conflict DisksDetachingOnEcsExceeded"),
    **_rows(WrongState, """
        ResourcesNotInSameZone DiskNotPortable DiskError DiskId.StatusNotSupported
        DiskTypeViolation InvalidDisk.AlreadyDetached InvalidDiskId.OperationNotSupported
        InvalidInstanceType.NotSupportDiskCategory InvalidInstanceType.NotSupportPL0
        InvalidInstanceType.NotSupportMultiAttachDisk InvalidInstanceType.NvmeUnsupported
        InvalidInstanceType.NvmeRequired InvalidInstanceStatus.NotRunning
        InvalidOperation.InstanceTypeNotSupportOnlineResize InvalidRegion.NotSupport
        InvalidOperation.MultiAttachDiskNotSupportResizeOnline
        InvalidDiskSize.NotSupportResizeOnline IncorrectDiskStatus.NeverAttached
        IncorrectDiskStatus.NeverUsed IncorrectDiskStatus.Invalid DiskId.ValueNotSupported
        DiskCategory.OperationNotSupported InvalidDiskStatus.DeleteProtection SnapshotCreatedDisk
        SnapshotCreatedImage InvalidOperation.ResourceManagedByCloudProduct
        InvalidOperation.OtherInstanceUnsupported InvalidOperation.DiskCategoryUnsupported
        DeleteWithInstance.Conflict InvalidInstance.ZoneConflict
        InvalidParameter.KMSKeyId.CMKNotEnabled InvalidKMSKeyId.NotFound DiskInArrears
        InstanceExpiredOrInArrears InstanceLockedForSecurity IncorrectInstanceStatus.NotSupportESSD
        InvalidOperation.InstanceTypeNotSupport DependencyViolation
    """),
    **_rows(Unreachable, """
        InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive Forbidden.AccessKeyDisabled
        SignatureDoesNotMatch IncompleteSignature SignatureNonceUsed MissingAccessKeyId
        MissingSignature MissingSecurityToken InvalidSecurityToken.Expired
        InvalidSecurityToken.Malformed InvalidSecurityToken.MismatchWithAccessKey
        InvalidTimeStamp.Expired InvalidTimeStamp.Format IllegalTimestamp
        InvalidSignatureMethod InvalidProtocol.NeedSsl ServiceUnavailable InternalError UnknownError
        ServiceUnavailable.RegionMaintaining LimitedOperation.ServiceUnavailable
    """),
    **_rows(Throttled, """
        Throttling Throttling.User Throttling.Api Throttling.User.Flow
        Throttling.ConcurrentLimitExceeded Rejected.Throttling BLOCK.LimitedRequest
    """),
    **_rows(InvalidArgument, """
        MissingParameter MissingParamter.RegionId IncompleteParamter InvalidParamter
        InvalidParameter InvalidParameter.DiskIds InvalidDiskIds.Malformed
        InvalidSnapshotIds.Malformed InvalidRegionId.NotFound InvalidRegionId.MalFormed
        InvalidRegion.NotFound InvalidZoneId.NotFound InvalidZoneId.DiskCategoryUnsupported
        InvalidParam.ZoneIdAndInstanceId.Conflict InvalidDiskName.Malformed
        InvalidDescription.Malformed InvalidSnapshotName.Malformed InvalidRetentionDays.Malformed
        InvalidParameter.EncryptedIllegal InvalidEncrypted.NotMatchKmsKeyId
        InvalidParameter.KMSKeyId.NotFound InvalidParameter.KmsNotEnabled
        InvalidParameter.EncryptedNotSupported InvalidEncrypted.NotMatchSnapshot
        InvalidParameter.Encrypted InvalidEncrypted.NotMatchDiskDefaultEncryption
        InvalidParameter.DiskCategoryAndMultiAttachNotMatch
        InvalidParameter.MultiAttachAndInstanceIdConflict InvalidParam.Type
        ProvisionedIopsForDiskCategoryUnsupported BurstingEnabledForDiskCategoryUnsupported
        BurstingEnabledForMultiAttachDiskUnsupported Duplicate.TagKey InvalidTagKey.Malformed
        InvalidTagValue.Malformed QuotaExceed.Tags InvalidTag.Mismatch InvalidTagCount
        InvalidResourceGroup.NotFound InvalidClientToken.Malformed
        InvalidSnapshotId.NotDataDiskSnapshot InvalidDiskCategory.ConflictSnapshotCategory
        InvalidOperation.CreateFromSnapshotUnsupported InvalidDevice.Malformed
        InvalidDevice.InUse InvalidParameter.DeleteWithInstance
        InvalidParameterForce.DiskCategoryNotSupported
        InvalidParameterForce.PrepaidDiskNotSupported
        InvalidParameterForce.MultiAttachDiskNotSupported InvalidParameterForce.RegionNotSupported
        InvalidDiskType.ValueNotSupported InvalidCategory.ValueNotSupported
        InvalidStatus.ValueNotSupported InvalidFilterKey.NotFound InvalidFilterValue
        InvalidDiskIds.ValueNotSupported InvalidDiskChargeType.NotFound
        InvalidLockReason.NotFound InvalidStatus.NotFound InvalidUsage
        InvalidSnapshotType.NotFound Invalid.NextToken InvalidAction InvalidAction.NotFound
        InvalidApi.NotFound InvalidVersion InvalidParameter.Format UnsupportedHTTPMethod
        MissingAction MissingVersion
    """),
}  # fmt: skip
"""Every code of the calls we make, as the API pages and the field know them."""

BY_CALL: Final[Mapping[tuple[str, str], Kind]] = {
    ("AttachDisk", "IncorrectDiskStatus"): InUse,
    ("DeleteDisk", "IncorrectDiskStatus"): InUse,
    # we grow only past what a read told: equal or smaller means that the read was old
    ("ResizeDisk", "InvalidDiskSize"): Pending,
    ("ResizeDisk", "InvalidDiskSize.TooSmall"): Pending,
    ("ResizeDisk", "OperationDenied"): Pending,
    ("ResizeDisk", "InvalidDiskCategory.NotSupported"): WrongState,
    ("ResizeDisk", "QuotaExceed.DiskCapacity"): OutOfRange,
    ("ResizeDisk", "QuotaExceeded.PostpaidDataDiskCapacity"): OutOfRange,
}
"""Where one call gives a code another meaning."""

BY_CALL_AND_STATUS: Final[Mapping[tuple[str, str, int], Kind]] = {
    # 400: above what the category is sold in; 403: the disk has this size already
    ("ResizeDisk", "InvalidDataDiskSize.ValueNotSupported", 403): Pending,
}
"""Where one call gives one code two meanings."""

BY_PREFIX: Final[tuple[tuple[str, Kind], ...]] = (
    ("Throttling", Throttled),
    ("Forbidden", Denied),
    ("InvalidSecurityToken", Unreachable),
    ("InvalidAccessKeyId", Unreachable),
    ("QuotaExceed", Exhausted),
    ("InvalidDataDiskCategory", Exhausted),
    ("ServiceUnavailable", Unreachable),
    ("Missing", InvalidArgument),
)
"""Families whose members come and go."""

BY_STATUS: Final[Mapping[int, Kind]] = {
    400: InvalidArgument, 401: Denied, 403: WrongState, 404: InvalidArgument, 409: Pending,
    429: Throttled,
}  # fmt: skip
"""For a code that nobody has told us of. An unknown 404 may name a key, a group or a region."""

SERVER_FAILURE: Final = 500
"""HTTP statuses from here on tell of a failure of the server."""


def kind_of(action: str, status: int, code: str) -> Kind:
    """The class of error: by call and code, by code, by family, by HTTP status."""
    known = (
        BY_CALL_AND_STATUS.get((action, code, status))
        or BY_CALL.get((action, code))
        or BY_CODE.get(code)
    )
    if known is not None:
        return known
    for prefix, kind in BY_PREFIX:
        if code.startswith(prefix):
            return kind
    if status >= SERVER_FAILURE:
        return Unreachable
    return BY_STATUS.get(status, InvalidArgument)
