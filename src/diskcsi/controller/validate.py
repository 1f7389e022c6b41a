"""ValidateVolumeCapabilities: confirm only what was checked, all of it."""

from __future__ import annotations

from diskcsi.controller.access import refuse_unserved
from diskcsi.controller.deps import Deps
from diskcsi.controller.requests import Validate
from diskcsi.model.errors import InvalidArgument, NotFound
from diskcsi.model.volume import Disk


class VolumeValidator:
    """Tells whether an existing volume can be used in the ways asked about."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def why_not(self, request: Validate) -> str:
        """Why the volume can't be used so; empty when every single thing fits.

        Raises:
            NotFound: the disk is absent.
        """
        async with self._deps.deadline():
            disk = await self._deps.disks.get(request.volume_id)
        if disk is None:
            raise NotFound(f"disk {request.volume_id} is absent")
        try:
            refuse_unserved(
                request.capabilities,
                multi_attach=disk.multi_attach,
                restored=disk.source_snapshot_id is not None,
            )
            return self._parameters_misfit(request, disk) or self._context_misfit(request, disk)
        except InvalidArgument as refusal:
            return str(refusal)

    def _parameters_misfit(self, request: Validate, disk: Disk) -> str:
        given = {**request.parameters, **request.mutable_parameters}
        if not given:
            return ""
        parameters = self._deps.rules.volume_parameters(given)
        if parameters.zones and disk.zone and disk.zone not in parameters.zones:
            return f"disk {disk.id} is in zone {disk.zone}"
        return parameters.mismatch(disk)

    def _context_misfit(self, request: Validate, disk: Disk) -> str:
        """Facts of the disk that the context repeats must be the disk's."""
        for key, value in sorted(request.context.items()):
            if key in disk.attributes and disk.attributes[key] != value:
                return f"volume_context key {key!r} is {value!r}, the disk's is {disk.attributes[key]!r}"
        return ""
