"""CreateVolume: look for the name; else choose place, kind and size, and ask the cloud.

The places come in the caller's order, within each the kinds of the class in its order; a place
that is out of stock gives way to the next one. The answer to a repeat is as complete as the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from diskcsi.controller import placement
from diskcsi.controller.access import refuse_unserved
from diskcsi.controller.deps import Deps
from diskcsi.controller.making import DiskMaker, TakenAwayError
from diskcsi.controller.naming import OneForName
from diskcsi.controller.requests import CreateVolume, Volume
from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import (
    AlreadyExists,
    DiskError,
    Exhausted,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
)
from diskcsi.model.ids import VolumeId
from diskcsi.model.parameters import DiskKind, VolumeParameters
from diskcsi.model.schema import SIDECAR_PREFIX
from diskcsi.model.sizes import Capacity, gib_to_hold
from diskcsi.model.volume import Disk, DiskSpec, DiskState, Snapshot
from diskcsi.telemetry.logging import bind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A request with its class parsed and its zones chosen."""

    request: CreateVolume
    parameters: VolumeParameters
    zones: tuple[str, ...]


class VolumeCreator:
    """Makes volumes, and finds again those it made."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps
        self._maker = DiskMaker(deps=deps)

    async def create(self, request: CreateVolume) -> Volume:
        """The volume named `request.name`, made if there is none.

        Raises:
            InvalidArgument: a parameter, mode or place can't be served; nothing was made.
            OutOfRange: no kind of disk in the class is sold in such a size.
            NotFound: the snapshot is absent.
            AlreadyExists: the name belongs to a disk that doesn't fit the request.
            Exhausted: no place has stock or quota, and surely nothing was made.
        """
        order = self._order(request)
        return await self._deps.fly_unless_refused(
            ("creation of volume", request.name),
            lambda: self._create(order),
            arguments=request,
            # of a claim that is bound at once all places are named, and nobody comes with another
            rescheduled=len(request.requirement.requisite) == 1,
        )

    def _order(self, request: CreateVolume) -> _Order:
        rules = self._deps.rules
        parameters = rules.volume_parameters({**request.parameters, **request.mutable_parameters})
        bind(class_warnings="; ".join(parameters.warnings))
        if parameters.region and rules.region and parameters.region != rules.region:
            raise InvalidArgument(
                f"the class wants region {parameters.region}, and this driver serves {rules.region}"
            )
        if request.snapshot_id is not None:
            self._deps.require(Capability.RESTORE)
        refuse_unserved(
            request.capabilities,
            multi_attach=parameters.multi_attach,
            restored=request.snapshot_id is not None,
        )
        chosen = placement.zones(
            request.requirement,
            class_zones=parameters.zones,
            keys=rules.topology,
            region=rules.region,
            default_zone=rules.default_zone,
        )
        _refuse_unsold_sizes(request.capacity, parameters)
        return _Order(request=request, parameters=parameters, zones=chosen)

    async def _create(self, order: _Order) -> Volume:
        try:
            disk = await self._find_lasting(order)
            if disk is None:
                snapshot = await self._source(order.request)
                disk = await self._make(order, tuple(_specs(order, snapshot)))
        except TakenAwayError as taken:
            raise Pending(f"{taken}; if the volume is wanted still, ask for it again") from taken
        return self._volume(order, disk)

    async def _find_lasting(self, order: _Order) -> Disk | None:
        """As `_find`, once it is ready for use; None as well if it failed or was deleted."""
        disk = await self._find(order)
        return None if disk is None else await self._maker.lasting(disk, fresh=False)

    async def _find(self, order: _Order) -> Disk | None:
        """The disk of this name, None if the cloud shows none; refuses one that doesn't fit."""
        name = order.request.name
        found = await self._deps.patiently(lambda: self._deps.cloud.find_disks(name))
        disks = sorted(found, key=lambda disk: disk.id)
        misfits = {disk.id: self._misfit(order, disk) for disk in disks}
        for disk in disks:
            if not misfits[disk.id]:
                return disk
        if disks:
            raise AlreadyExists(
                f"volume {name!r} exists as {disks[0].id} and doesn't fit the request:"
                f" {misfits[disks[0].id]}"
            )
        return None

    def _misfit(self, order: _Order, disk: Disk) -> str:
        """How `disk` differs from what is asked for; empty when it fits."""
        request = order.request
        if not request.capacity.holds(disk.size_gib):
            return f"it has {disk.size_gib} GiB"
        if disk.source_snapshot_id != request.snapshot_id:
            return f"its source is {disk.source_snapshot_id or 'no snapshot'}"
        zones_allowed = order.parameters.zones
        if not placement.fits(disk.zone, request.requirement, keys=self._deps.rules.topology) or (
            zones_allowed and disk.zone and disk.zone not in zones_allowed
        ):
            return f"it is in zone {disk.zone}"
        return order.parameters.mismatch(disk)

    async def _source(self, request: CreateVolume) -> Snapshot | None:
        """The snapshot to restore, ready; None when the volume starts empty."""
        if request.snapshot_id is None:
            return None
        wanted = request.snapshot_id
        snapshot = await self._deps.disks.get_snapshot(wanted)
        if snapshot is None:
            raise NotFound(f"snapshot {wanted} is absent")
        required_gib = gib_to_hold(request.capacity.required_bytes)
        if required_gib and required_gib < snapshot.size_gib:
            raise OutOfRange(
                f"{required_gib} GiB can't hold snapshot {snapshot.id} of {snapshot.size_gib} GiB"
            )
        if not snapshot.ready:
            raise Pending(f"snapshot {snapshot.id} is not ready to be restored yet")
        return snapshot

    async def _make(self, order: _Order, specs: tuple[DiskSpec, ...]) -> Disk:
        """Try each place and kind in turn until one gives a disk."""
        reasons: dict[str, DiskError] = {}
        for spec in specs:
            try:
                return await self._make_one(order, spec)
            except (Exhausted, OutOfRange) as reason:
                reasons.setdefault(f"{spec.kind.label} in {spec.zone or 'any zone'}", reason)
        if not reasons:
            raise OutOfRange(f"no kind of disk in the class can hold volume {order.request.name!r}")
        if len(reasons) == 1:
            raise next(iter(reasons.values()))
        told = "; ".join(f"{where}: {reason}" for where, reason in reasons.items())
        if all(isinstance(reason, OutOfRange) for reason in reasons.values()):
            raise OutOfRange(told)
        raise Exhausted(f"no disk for volume {order.request.name!r}: {told}")

    async def _make_one(self, order: _Order, spec: DiskSpec) -> Disk:
        """One place and kind."""

        async def create(attempt: int) -> Disk | None:
            numbered = replace(spec, attempt=attempt)
            volume_id = await self._deps.cloud.create_disk(numbered)
            return await self._maker.lasting(_as_ordered(volume_id, numbered), fresh=True)

        return await OneForName(
            deps=self._deps,
            key=("volume", spec.name),
            find=lambda: self._find_lasting(order),
            create=create,
        ).make()

    def _volume(self, order: _Order, disk: Disk) -> Volume:
        rules, parameters = self._deps.rules, order.parameters
        kind_facts = {
            key: value
            for kind in parameters.kinds
            for key in kind.attributes
            if (value := disk.attributes.get(key)) is not None
        }
        return Volume(
            id=disk.id,
            size_gib=disk.size_gib,
            segments=rules.topology.of_zone(disk.zone) if disk.zone else {},
            context={**parameters.context, **kind_facts},
            snapshot_id=disk.source_snapshot_id,
        )


def _specs(order: _Order, snapshot: Snapshot | None) -> Iterator[DiskSpec]:
    """Every choice that would do: places in the caller's order, within each the class's kinds."""
    request = order.request
    given = {**request.parameters, **request.mutable_parameters}
    labels = {key: value for key, value in given.items() if key.startswith(SIDECAR_PREFIX)}
    for zone in order.zones:
        for kind in order.parameters.kinds:
            try:
                size_gib = _size_gib(
                    request.capacity,
                    kind,
                    round_up=order.parameters.round_up,
                    at_least_gib=snapshot.size_gib if snapshot else 0,
                )
            except OutOfRange:
                continue
            yield DiskSpec(
                name=request.name,
                size_gib=size_gib,
                kind=kind,
                parameters=order.parameters,
                zone=zone,
                snapshot_id=request.snapshot_id,
                labels=labels,
            )


def _size_gib(capacity: Capacity, kind: DiskKind, *, round_up: bool, at_least_gib: int = 0) -> int:
    if round_up and gib_to_hold(capacity.required_bytes) < kind.sizes.min_gib:
        smallest = Capacity(limit_bytes=capacity.limit_bytes)
        return smallest.size_gib(kind.sizes, at_least_gib=at_least_gib)
    return capacity.size_gib(kind.sizes, at_least_gib=at_least_gib)


def _refuse_unsold_sizes(capacity: Capacity, parameters: VolumeParameters) -> None:
    """Refuse a size that no kind of the class is sold in, before the cloud is asked."""
    refusals: list[tuple[DiskKind, OutOfRange]] = []
    for kind in parameters.kinds:
        try:
            _size_gib(capacity, kind, round_up=parameters.round_up)
        except OutOfRange as refusal:
            refusals.append((kind, refusal))
        else:
            return
    way_out = _way_out(capacity, parameters)
    if len(refusals) == 1:
        only, why = refusals[0]
        raise OutOfRange(f"{only.label}: {why.message}", hint=f"{why.hint}{way_out}")
    told = "; ".join(f"{kind.label}: {why}" for kind, why in refusals)
    raise OutOfRange(f"{told}{way_out}")


def _way_out(capacity: Capacity, parameters: VolumeParameters) -> str:
    """What to set in the class where rounding up would serve the size; else nothing."""
    if not parameters.round_up_key or parameters.round_up:
        return ""
    for kind in parameters.kinds:
        with suppress(OutOfRange):
            _size_gib(capacity, kind, round_up=True)
            return f', or set {parameters.round_up_key} to "true" in the StorageClass'
    return ""


def _as_ordered(volume_id: VolumeId, spec: DiskSpec) -> Disk:
    """What the cloud accepted, until a read tells more."""
    return Disk(
        id=volume_id,
        size_gib=spec.size_gib,
        state=DiskState.CREATING,
        name=spec.name,
        zone=spec.zone,
        source_snapshot_id=spec.snapshot_id,
        attributes=spec.kind.attributes,
    )
