"""The one table from ECS codes to our errors.

A code means one thing wherever it can; where a call gives it another meaning, the call's own row
wins. What no row knows is read from the HTTP status. A call that changes something and fails with
5xx may have had its effect, so it is `UnknownOutcome` whatever the code; a 4xx is a refusal that
came before any effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from diskcsi.model.errors import (
    AlreadyExists,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
    Throttled,
    UnknownOutcome,
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
        InvalidResourceId.NotFound
    """),
    **_rows(AlreadyExists, "IdempotentParameterMismatch InvalidIdempotenceParameter.Mismatch"),
    **_rows(Denied, """
        Forbidden Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser Forbbiden.SubUser
        Forbedden.NotSupportRAM Forbidden.AccessKeyDisabled NoPermission NoPermission.Tag
        NotAuthorized UserNotInTheWhiteList InvalidDiskCategory.ValueUnauthorized
        InvalidParameter.KMSKeyId.CMKUnauthorized InvalidParameter.KMSKeyId.KMSUnauthorized
        InstanceLockedForSecurity UnsupportedOperation
    """),
    **_rows(Exhausted, """
        InvalidDataDiskCategory.NotSupported InvalidDataDiskCategory.ValueNotSupported
        InvalidDiskCategory.NotSupported InvalidDiskCategory.ValueNotSupported
        InvalidDiskSizeOrCategory Zone.NotOnSale OperationDenied OperationDenied.NoStock
        OperationDenied.QuotaExceed OperationDenied.ZoneNotAllowed
        OperationDenied.CloudSSDNotSupported OperationDenied.ZoneNotSupportMultiAttachDisk
        InvalidPerformanceLevel.Malformed InvalidPerformanceLevel.ValueNotSupported
        QuotaExceed.DiskCapacity QuotaExceed.PortableCloudDisk QuotaExceed.PostPaidDisk
        QuotaExceed.ElasticQuota QuotaExceeded.PostpaidDataDiskCapacity QuotaExceed.Snapshot
        QuotaExceed.ConcurrentSnapshotQuota InstanceDiskLimitExceeded DiskAttachedNumberExceeded
        InvalidOperation.DiskQueueNumberNotEnough Account.Arrearage DiskInArrears
        InvalidAccountStatus.NotEnoughBalance InstanceExpiredOrInArrears
        InvalidAccountStatus.SnapshotServiceUnavailable
    """),
    **_rows(OutOfRange, """
        InvalidDiskSize.NotSupported InvalidDataDiskSize.ValueNotSupported InvalidDiskSize.TooLarge
        InvalidDiskSize.TooSmall InvalidDiskSize OperationDenied.PerformanceLevelNotMatch
        InvalidProvisionedIops.LimitExceed InvalidBurstingEnabled.DiskSizeTooSmall
        InvalidDiskSize.NotSupportMultiAttachDisk
    """),
    **_rows(InUse, "InvalidDisk.InUse DiskStillAttached DependencyViolation"),
    **_rows(Pending, """
        LastTokenProcessing IdempotentProcessing LastOrderProcessing OperationConflict
        Operation.Conflict InvalidOperation.Conflict DisksDetachingOnEcsExceeded
        OperationConflict.DisksAttachingParallellyExceed IncorrectInstanceStatus
        IncorrectInstanceStatus.Initializing IncorrectDiskStatus IncorrectDiskStatus.Initializing
        IncorrectDiskStatus.CreatingSnapshot IncorrectDiskStatus.TooManyCreatingSnapshots
        IncorrectDiskStatus.Transferring IncorrectDiskStatus.InReplication
        DISK_HAS_CREATING_SNAPSHOT DiskCreatingSnapshot InvalidStatus.Upgrading
        InvalidStatus.DiskNotReady InvalidOperation.DiskDetachingFromThisEcs
        InvalidSnapshotId.NotReady InvalidSnapshot.NotReady
        InvalidOperation.RelatedSnapshotNotFinished
    """),
    **_rows(WrongState, """
        ResourcesNotInSameZone DiskNotPortable DiskError DiskId.StatusNotSupported
        DiskTypeViolation InvalidDisk.AlreadyDetached InvalidDiskId.OperationNotSupported
        InvalidInstanceType.NotSupportDiskCategory InvalidInstanceType.NotSupportPL0
        InvalidInstanceType.NotSupportMultiAttachDisk InvalidInstanceType.NvmeUnsupported
        InvalidInstanceType.NvmeRequired InvalidInstanceStatus.NotRunning
        InvalidOperation.InstanceTypeNotSupportOnlineResize InvalidRegion.NotSupport
        InvalidOperation.MultiAttachDiskNotSupportResizeOnline InvalidOperation.MultiAttachDisk
        InvalidDiskSize.NotSupportResizeOnline IncorrectDiskStatus.NeverAttached
        IncorrectDiskStatus.NeverUsed IncorrectDiskStatus.Invalid DiskId.ValueNotSupported
        DiskCategory.OperationNotSupported InvalidDiskStatus.DeleteProtection SnapshotCreatedDisk
        SnapshotCreatedImage InvalidOperation.ResourceManagedByCloudProduct
        InvalidOperation.OtherInstanceUnsupported InvalidOperation.DiskCategoryUnsupported
        DeleteWithInstance.Conflict InvalidInstance.ZoneConflict DiskInCoolingPeriod
        InvalidParameter.KMSKeyId.CMKNotEnabled InvalidParameter.CMKNotEnabled
    """),
    **_rows(Unreachable, """
        InvalidAccessKeyId.NotFound InvalidAccessKeyId.Inactive InvalidAccessKeySecret
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
        InvalidParameter.KMSKeyId.NotFound InvalidKMSKeyId.NotFound InvalidParameter.KmsNotEnabled
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
        MissingAction MissingVersion DryRunOperation
    """),
}  # fmt: skip
"""Every code of the calls we make, as the API pages and the field know them."""

BY_CALL: Final[Mapping[tuple[str, str], Kind]] = {
    ("AttachDisk", "IncorrectDiskStatus"): InUse,
    ("DeleteDisk", "IncorrectDiskStatus"): InUse,
    ("DetachDisk", "DependencyViolation"): WrongState,
    # we grow only past what a read told: equal or smaller means that the read was old
    ("ResizeDisk", "InvalidDiskSize"): Pending,
    ("ResizeDisk", "InvalidDiskSize.TooSmall"): Pending,
    ("ResizeDisk", "QuotaExceed.DiskCapacity"): OutOfRange,
    ("ResizeDisk", "QuotaExceeded.PostpaidDataDiskCapacity"): OutOfRange,
    ("DeleteSnapshot", "IncorrectDiskStatus.CreatingSnapshot"): Pending,
}
"""Where one call gives a code another meaning."""

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
    400: InvalidArgument, 401: Denied, 403: WrongState, 404: NotFound, 409: Pending, 429: Throttled,
}  # fmt: skip
"""For a code that nobody has told us of."""

CREDENTIAL_PREFIXES: Final = (
    "InvalidSecurityToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "MissingSecurityToken",
)  # fmt: skip
"""Codes after which other credentials may help."""

HINTS: Final[Mapping[str, str]] = {
    "IncorrectDiskStatus.NeverAttached": "use the volume in a pod once, then snapshot it",
    "IncorrectDiskStatus.NeverUsed": "write something to the volume, then snapshot it",
    "ResourcesNotInSameZone": "a disk attaches to machines of its own zone only",
    "InstanceDiskLimitExceeded": "the machine holds as many disks as its type takes",
    "InvalidTimeStamp.Expired": "the clock of this machine is off: set it",
    "SignatureDoesNotMatch": "the key secret is not the one of this key id",
    "InvalidAccessKeyId.NotFound": "the key id does not exist in this account any more",
}
"""What a person can do about a code."""

MUTATING_FAILURE: Final = 500
"""HTTP statuses from here on tell nothing of whether a call had its effect."""


def mutating(action: str) -> bool:
    """Whether a call changes something."""
    return not action.startswith(("Describe", "List"))


def error_for(action: str, status: int, body: Mapping[str, Any], about: str) -> DiskError:
    """What an answer that is an error means.

    Args:
        body: of the answer; its `Message` is shown, for ECS puts no secret there beside the text
            that was to be signed, which is left out.
        about: the objects that the call was for.
    """
    code, request_id = str(body.get("Code") or ""), str(body.get("RequestId") or "")
    if status >= MUTATING_FAILURE and mutating(action):
        return UnknownOutcome(
            f"{action} {about}: the cloud failed in the middle", code=code, request_id=request_id
        )
    kind = kind_of(action, status, code)
    said = str(body.get("Message") or "").partition("string to sign")[0].strip()
    return kind(
        f"{action} {about}: {said or code}",
        hint=_hint(kind, action, code, body),
        code=code,
        request_id=request_id,
    )


def kind_of(action: str, status: int, code: str) -> Kind:
    """The class of error: by call and code, by code, by family, by HTTP status."""
    known = BY_CALL.get((action, code)) or BY_CODE.get(code)
    if known is not None:
        return known
    for prefix, kind in BY_PREFIX:
        if code.startswith(prefix):
            return kind
    if status >= MUTATING_FAILURE:
        return Unreachable
    return BY_STATUS.get(status, InvalidArgument)


def asks_for_other_credentials(code: str, message: str) -> bool:
    """Whether the answer means that the key pair is old; one gateway says it in the message."""
    return code.startswith(CREDENTIAL_PREFIXES) or "SecurityToken" in message


def _hint(kind: Kind, action: str, code: str, body: Mapping[str, Any]) -> str:
    if kind is Denied:
        detail = body.get("AccessDeniedDetail")
        wanted = detail.get("AuthAction") if isinstance(detail, Mapping) else None
        return f"grant the RAM action {wanted or f'ecs:{action}'} to the driver's user"
    return HINTS.get(code, "")
