"""What may hold a secret stays out of the ConfigMap, which everybody reads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from diskcsi.ports.settings import settings_of
from diskcsi.providers import registry
from tests.k8s.charts import REGION, ROOT, Helm, Refused, config, container, filled

CANARY = "user-of-mine:canary-of-mine@host"


def secret_settings() -> Iterator[tuple[str, str, str]]:
    """Provider, name and first variable of every setting that is declared secret."""
    for provider in ("alibaba", "local"):
        told = settings_of(registry.load(provider).settings_type)
        yield from ((provider, name, one.env[0]) for name, one in told.items() if one.secret)


def test_the_list_of_secret_settings_is_up_to_date() -> None:
    """The chart's file is made from the settings' declarations."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "chart_secrets.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.k8s
@pytest.mark.parametrize(("provider", "name", "variable"), sorted(secret_settings()))
def test_a_secret_setting_is_refused_with_the_place_that_it_belongs_to(
    helm: Helm, provider: str, name: str, variable: str
) -> None:
    """The message names a Secret and a way to give it, and doesn't repeat the value."""
    settings = {"region": "cn-hangzhou", name: f"http://{CANARY}"}
    with pytest.raises(Refused) as refused:
        helm.render(values={"provider": {"name": provider, "settings": settings}})
    told = str(refused.value)
    assert f"provider.settings.{name} may hold a secret" in told
    assert variable in told or "credentials.existingSecret" in told
    assert "Secret" in told
    assert "canary" not in told


@pytest.mark.k8s
def test_a_proxy_without_a_password_is_no_secret(helm: Helm) -> None:
    """By either value it arrives."""
    proxy = "http://proxy:3128"
    by_settings = helm.render(
        values={"provider": {"settings": {"region": "cn-hangzhou", "proxy": proxy}}}
    )
    by_value = helm.render(values=REGION | {"proxy": proxy})
    assert filled(config(by_settings), "alibaba")[1].proxy == proxy
    environment = container(by_value.one("Deployment"), "diskcsi")["env"]
    assert {"name": "DISKCSI_PROXY", "value": proxy} in environment


@pytest.mark.k8s
def test_a_proxys_password_is_not_taken_as_a_value(helm: Helm) -> None:
    """It would stand in the Deployment, which more people may read than Secrets."""
    with pytest.raises(
        Refused, match=r"^Error: .*proxy may hold a .*DISKCSI_PROXY.*Secret"
    ) as refused:
        helm.render(values=REGION | {"proxy": f"http://{CANARY}:3128"})
    assert "canary" not in str(refused.value)


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["access_key_secret", "proxy"])
def test_a_secret_among_the_drivers_own_settings_is_refused_as_well(helm: Helm, name: str) -> None:
    """They stand in the same ConfigMap; that the driver knows no such setting would come too late."""
    with pytest.raises(Refused, match=rf"driver\.settings\.{name} may hold a secret"):
        helm.render(values=REGION | {"driver": {"settings": {name: f"http://{CANARY}"}}})


def of_folder(**provider: object) -> dict[str, object]:
    """Values for a provider that the chart doesn't know."""
    return {"provider": {"name": "folder", **provider}, "driverName": "folder.example.org"}


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["http_headers", "token_file", "keyboard"])
def test_of_a_provider_that_the_chart_does_not_know_other_names_pass(helm: Helm, name: str) -> None:
    """They are for the provider to say."""
    values = of_folder(settings={name: "value"})
    assert config(helm.render(values=values)) == {"folder": {name: "value"}}


@pytest.mark.k8s
@pytest.mark.parametrize("name", ["api_token", "api_key", "secret_key", "credentials", "auth"])
def test_of_a_provider_that_the_chart_does_not_know_names_tell(helm: Helm, name: str) -> None:
    """A key by its name is refused, unless it is listed as none."""
    values = of_folder(settings={name: "value"})
    with pytest.raises(Refused, match=r"by controller\.envFrom, from a Secret.*publicSettings"):
        helm.render(values=values)
    listed = of_folder(settings={name: "value"}, publicSettings=[name])
    assert config(helm.render(values=listed)) == {"folder": {name: "value"}}


@pytest.mark.k8s
@pytest.mark.parametrize(
    "values",
    [
        {"controller": {"env": [{"name": "DISKCSI_PROXY", "value": f"http://{CANARY}:1"}]}},
        {"controller": {"env": [{"name": "ACCESS_KEY_SECRET", "value": "canary"}]}},
        {"controller": {"env": [{"name": "DISKCSI_PROXY", "value": "http://canary@host:1"}]}},
        {"controller": {"env": [{"name": "ECS_HEADERS", "value": "canary"}]}},
        {"controller": {"args": ["--proxy=http://canary@host:1"]}},
        {"controller": {"args": ["--access-key-secret=canary"]}},
        {"controller": {"args": [f"--proxy=http://{CANARY}:1"]}},
        {"node": {"args": [f"--proxy=http://{CANARY}:1"]}},
    ],
    ids=[
        "proxy-variable",
        "secret-variable",
        "user-variable",
        "headers-variable",
        "user-flag",
        "secret-flag",
        "controller-flag",
        "node-flag",
    ],
)
def test_what_may_be_read_with_the_pod_holds_no_secret(
    helm: Helm, values: dict[str, object]
) -> None:
    """Flags and variables with a value of their own stand in the pod's description."""
    with pytest.raises(Refused, match="from a Secret") as refused:
        helm.render(values=REGION | values)
    assert "canary" not in str(refused.value)


@pytest.mark.k8s
def test_a_variable_from_a_secret_is_the_way(helm: Helm) -> None:
    """Its value stands nowhere in the chart."""
    from_secret = {"secretKeyRef": {"name": "mine", "key": "proxy"}}
    variable = {"name": "DISKCSI_PROXY", "valueFrom": from_secret}
    rendered = helm.render(values=REGION | {"controller": {"env": [variable]}})
    assert variable in container(rendered.one("Deployment"), "diskcsi")["env"]
