from __future__ import annotations

from diskcsi.telemetry.meter import Meter


class Heard:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def rpc_began(self, method: str) -> None:
        self.told.append(("began", method))

    def rpc_ended(self, method: str, *, code: str, duration_s: float) -> None:
        self.told.append(("ended", method, code, f"{duration_s:g}"))


def test_calls_before_the_metrics_are_there_are_counted_too() -> None:
    """What was kept is handed over first, in order, and what follows goes straight through."""
    meter, heard = Meter(), Heard()
    meter.rpc_began("Probe")
    meter.rpc_ended("Probe", code="OK", duration_s=0.5)
    meter.tell_to(heard)
    meter.rpc_began("NodeGetInfo")
    assert heard.told == [
        ("began", "Probe"),
        ("ended", "Probe", "OK", "0.5"),
        ("began", "NodeGetInfo"),
    ]
