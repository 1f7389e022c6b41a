"""What happens to a disk before it is mounted: proved blank and formatted, or checked and grown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from diskcsi.model.blank import (
    Blank,
    DeviceFacts,
    Expected,
    Formatted,
    Refused,
    Verdict,
    is_half_made,
    judge,
    same_family,
)
from diskcsi.model.errors import InvalidArgument, WrongState
from diskcsi.model.mkfs import why_not
from diskcsi.model.publish import SIZE_KEY
from diskcsi.node.deps import NodeDeps
from diskcsi.node.requests import Stage
from diskcsi.ports.host import Device, FormatMark
from diskcsi.ports.provider import DeviceRules
from diskcsi.telemetry.logging import logger

MKFS_OPTIONS_KEY: Final = "mkfsOptions"
"""A class's own words for mkfs, in the volume's context; they replace the default ones."""

UNTOUCHED: Final = (
    "nothing on it was changed; if it holds nothing of worth, as after a format that was cut off,"
    " wipe all of it by hand (blkdiscard --zeroout) and try again"
)
"""Without a note of this very attachment, a half-made filesystem can't be told from somebody's
data, so a person has to decide."""

OUTDATED: Final = (
    "nothing on it was changed; detach the volume and attach it again, as by stopping its pods until"
    " it is detached"
)
"""A new attachment tells the size as it is, and then the device can be proved blank."""

OMIT_CHECK_KEY: Final = "omitfsck"
"""`true` in the volume's context: mount without a check."""


class Preparer:
    """Makes the filesystem on a device ready to be mounted."""

    def __init__(self, *, deps: NodeDeps) -> None:
        self._deps = deps

    async def prepare(self, request: Stage, device: Device, wanted: str) -> str:
        """The filesystem on the device: found, checked and grown, or newly made.

        Raises:
            InvalidArgument: the class gives mkfs an option that may lead to another device.
            WrongState: the device is not proved to be the disk, neither proved blank nor soundly
                formatted, or carries another filesystem; nothing on it was changed.
        """
        verdict = await self._verdict(request, device)
        if isinstance(verdict, Refused):
            raise WrongState(
                f"device {device.path} of disk {request.volume_id} is left alone:"
                f" {'; '.join(verdict.reasons)}",
                hint=OUTDATED if verdict.outdated else UNTOUCHED,
            )
        read_only = request.capability.mode.read_only
        if isinstance(verdict, Blank):
            return await self._made(request, device, wanted, read_only=read_only)
        if wanted and not same_family(verdict.fs_type, wanted):
            raise WrongState(
                f"disk {request.volume_id} carries {verdict.fs_type}, and {wanted} is asked for",
                hint="nothing on it was changed; ask for the filesystem that is there",
            )
        if not read_only and not await self._deps.mounts_of(device.number):
            await self._check_and_grow(request, device, verdict)
        return verdict.fs_type

    async def _verdict(self, request: Stage, device: Device) -> Verdict:
        facts = await self._deps.devices.facts(device)
        disk = expected(request, self._deps.rules)
        verdict = judge(facts, disk)
        cut_off = isinstance(verdict, Refused) and await self._was_cut_off(
            request, device, facts, disk
        )
        logger().info(
            "device judged",
            device=device.path,
            verdict=type(verdict).__name__,
            reasons=list(verdict.reasons) if isinstance(verdict, Refused) else [],
            format_was_cut_off=cut_off,
            **_told(facts),
        )
        return Blank() if cut_off else verdict

    async def _was_cut_off(
        self, request: Stage, device: Device, facts: DeviceFacts, disk: Expected
    ) -> bool:
        """Whether an own format, begun on a blank device in this very attachment, left it so.

        The note is forgotten before the device is mounted, handed out or unstaged, and nobody else
        can have written to a disk that was attached here all the time.
        """
        mark = await self._deps.marks.get(request.volume_id)
        if mark is None or request.capability.mode.multi_node:
            return False
        if mark.serial != disk.serial or not is_half_made(facts, disk, mark.fs_type):
            return False
        return mark.attachment == await self._deps.devices.attachment(device)

    async def _mark(self, request: Stage, device: Device, fs_type: str) -> None:
        attachment = await self._deps.devices.attachment(device)
        if attachment is None or request.capability.mode.multi_node:
            return
        serial = expected(request, self._deps.rules).serial
        mark = FormatMark(serial=serial, fs_type=fs_type, attachment=attachment)
        try:
            await self._deps.marks.put(request.volume_id, mark)
        except WrongState as error:  # a format that is cut off then waits for a person
            logger().warning("format without a note", error=str(error))

    async def _made(self, request: Stage, device: Device, wanted: str, *, read_only: bool) -> str:
        if read_only:
            raise WrongState(
                f"disk {request.volume_id} is blank, and it is asked for read-only",
                hint="use it once with a mode that may write",
            )
        fs_type = wanted or self._deps.default_fs_type
        given = _mkfs_words(request, fs_type)
        await self._mark(request, device, fs_type)
        await self._deps.filesystems.make(device, fs_type, given or None)
        return fs_type

    async def _check_and_grow(self, request: Stage, device: Device, found: Formatted) -> None:
        filesystems = self._deps.filesystems
        if self._deps.check_filesystems and not _check_omitted(request.volume_context):
            await filesystems.check(device, found.fs_type)
        if not filesystems.can_grow_mounted(found.fs_type) and await filesystems.needs_growth(
            device, found.fs_type
        ):
            await filesystems.grow(device, found.fs_type, None)


def expected(request: Stage, rules: DeviceRules) -> Expected:
    """What the controller told of the disk."""
    return Expected(
        serial=rules.serial(request.volume_id, request.publish_context),
        size_bytes=_size_told(request.publish_context),
    )


def _mkfs_words(request: Stage, fs_type: str) -> list[str]:
    """Judged here too: a volume may be older than what its class may say today."""
    words = request.volume_context.get(MKFS_OPTIONS_KEY, "").split()
    if words and (why := why_not(fs_type, words)):
        raise InvalidArgument(
            f"disk {request.volume_id} is not formatted with {MKFS_OPTIONS_KEY}"
            f" {' '.join(words)!r}: {why}",
            hint="nothing on it was changed; make a new volume by a corrected class",
        )
    return words


def _size_told(context: Mapping[str, str]) -> int | None:
    told = context.get(SIZE_KEY, "")
    return int(told) if told.isascii() and told.isdigit() else None


def _check_omitted(context: Mapping[str, str]) -> bool:
    return context.get(OMIT_CHECK_KEY, "").strip().lower() == "true"


def _told(facts: DeviceFacts) -> dict[str, object]:
    return {
        "serial": facts.serial,
        "size_bytes": facts.size_bytes,
        "filesystem": facts.filesystem,
        "signatures": facts.signatures,
        "head_is_zero": facts.head_is_zero,
        "tail_is_zero": facts.tail_is_zero,
        "partitions": facts.partitions,
        "holders": facts.holders,
        "mounts": facts.mounts,
        "exclusive": facts.exclusive,
    }
