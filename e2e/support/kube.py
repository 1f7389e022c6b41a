"""Kubernetes as the scenarios use it: kubectl, and objects as plain mappings.

Everything here can be done by hand with the same words, which is how a failure is looked into.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from e2e.support.waiting import wait_for

Object = dict[str, Any]


ANSWERS_IN: Final = "--request-timeout=20s"
"""For a look at one object: whoever waits for it looks again."""


class KubectlFailed(AssertionError):  # noqa: N818 - reads as what happened
    """A command was refused; the message has kubectl's words."""


class Kube:
    """One cluster, and the namespace that a scenario works in."""

    def __init__(self, *, kubectl: Path, environment: Mapping[str, str], namespace: str) -> None:
        self._kubectl = kubectl
        self._environment = dict(environment)
        self.namespace = namespace

    def within(self, namespace: str) -> Kube:
        """The same cluster, in another namespace."""
        return Kube(kubectl=self._kubectl, environment=self._environment, namespace=namespace)

    def run(self, *arguments: str, text: str | None = None, timeout_s: float = 120) -> str:
        """What kubectl printed.

        Raises:
            KubectlFailed: it ended with an error, or not in time.
        """
        done = self.attempt(*arguments, text=text, timeout_s=timeout_s)
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def attempt(
        self, *arguments: str, text: str | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """The same, for a command that may fail.

        Raises:
            KubectlFailed: it did not end in time.
        """
        try:
            return subprocess.run(
                [str(self._kubectl), "--namespace", self.namespace, *arguments],
                input=text, stdin=None if text is not None else subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", check=False, timeout=timeout_s,
                env=self._environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise KubectlFailed(
                f"kubectl {' '.join(arguments)}: no end after {timeout_s:g} s"
            ) from error

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command that goes on beside the scenario; its owner ends it."""
        return subprocess.Popen(
            [str(self._kubectl), "--namespace", self.namespace, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=self._environment,
        )  # fmt: skip

    def apply(self, *objects: Object) -> None:
        """Make or change objects, strictly: an unknown field is refused."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.run("apply", "--validate=strict", "--filename=-", text=json.dumps(listed))

    def refused(self, *objects: Object) -> str:
        """The reason why these objects are not taken.

        Raises:
            AssertionError: they were.
        """
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        done = self.attempt("apply", "--filename=-", text=json.dumps(listed))
        assert done.returncode, f"it was taken: {done.stdout}"
        return done.stderr

    def get(self, kind: str, name: str) -> Object:
        """One object.

        Raises:
            KubectlFailed: there is none.
        """
        found: Object = json.loads(self.run("get", kind, name, "--output=json"))
        return found

    def find(self, kind: str, name: str) -> Object | None:
        """One object, or None when there is none.

        Raises:
            KubectlFailed: nobody can tell now.
        """
        told = self.run("get", kind, name, "--output=json", "--ignore-not-found", ANSWERS_IN)
        found: Object | None = json.loads(told) if told.strip() else None
        return found

    def list(self, kind: str, *, selector: str = "") -> Sequence[Object]:
        """All objects of a kind in the namespace, or in the cluster."""
        flags = (f"--selector={selector}",) if selector else ()
        found: Sequence[Object] = json.loads(self.run("get", kind, "--output=json", *flags))[
            "items"
        ]
        return found

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        """Delete, and by default wait until they are gone; those that are gone are fine."""
        self.run(
            "delete", kind, *names, "--ignore-not-found", f"--wait={str(wait).lower()}",
            timeout_s=300,
        )  # fmt: skip

    def wait(
        self,
        kind: str,
        name: str,
        holds: Callable[[Object], object],
        *,
        what: str,
        timeout_s: float = 120,
    ) -> Object:
        """The object, as soon as something holds of it; an API server that is away is waited for.

        Raises:
            NotSeen: it did not in time; the message has the object's status and events.
        """

        def look() -> Object | None:
            with suppress(KubectlFailed):
                found = self.find(kind, name)
                return found if found is not None and holds(found) else None
            return None

        return wait_for(
            look,
            what=f"{kind} {name} {what}",
            timeout_s=timeout_s,
            instead=lambda: self.told(kind, name),
        )

    def wait_running(self, pod: str, *, timeout_s: float = 180) -> Object:
        """The pod, once all of its containers are ready."""
        return self.wait("pod", pod, is_ready, what="is ready", timeout_s=timeout_s)

    def node_of(self, pod: str) -> str:
        """The name of the node that a pod was sent to."""
        return str(self.get("pod", pod)["spec"]["nodeName"])

    def wait_gone(self, kind: str, name: str, *, timeout_s: float = 120) -> None:
        """Return when the API server says that there is no such object any more."""

        def look() -> bool:
            with suppress(KubectlFailed):
                return self.find(kind, name) is None
            return False

        wait_for(
            look,
            what=f"{kind} {name} is gone",
            timeout_s=timeout_s,
            instead=lambda: self.told(kind, name),
        )

    def wait_event(self, kind: str, name: str, words: str, *, timeout_s: float = 90) -> str:
        """The message of an event of this object that has these words."""

        def look() -> str | None:
            messages = [one["message"] for one in self.events(kind, name)]
            return next((message for message in messages if words in message), None)

        return wait_for(
            look,
            what=f"an event of {kind} {name} with {words!r}",
            timeout_s=timeout_s,
            instead=lambda: self.told(kind, name),
        )

    def events(self, kind: str, name: str) -> Sequence[Object]:
        """What Kubernetes and the sidecars said of an object, oldest first."""
        found = json.loads(
            self.run(
                "get", "events", "--output=json", "--sort-by=.metadata.creationTimestamp",
                f"--field-selector=involvedObject.name={name}",
            )
        )["items"]  # fmt: skip
        wanted = kind.rstrip("s").lower()
        aliases = {"pvc": "persistentvolumeclaim", "sts": "statefulset"}
        wanted = aliases.get(wanted, wanted)
        return [one for one in found if one["involvedObject"]["kind"].lower() == wanted]

    def exec(self, pod: str, *command: str, timeout_s: float = 120) -> str:
        """What a command prints in a pod's first container."""
        return self.run("exec", pod, "--", *command, timeout_s=timeout_s)

    def sh(self, pod: str, script: str, *, timeout_s: float = 120) -> str:
        """What a shell script prints there; a step that fails ends it."""
        return self.exec(pod, "sh", "-ec", script, timeout_s=timeout_s).strip()

    def told(self, kind: str, name: str) -> str:
        """An object's status and last events in words, for a failure's message; never raises."""
        try:
            found = self.find(kind, name)
            events = "; ".join(one["message"] for one in self.events(kind, name)[-5:])
        except KubectlFailed as error:
            return f"What there is can't be told: {error}"
        status = json.dumps(found.get("status")) if found else "there is none"
        return f"Its status: {status[:1500]}. Last events: {events[:1500]}"


def is_ready(pod: Object) -> bool:
    """Whether every container of a pod is ready, and the pod is not going away."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
