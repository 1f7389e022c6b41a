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


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("name", "public"), [("http_headers", True), ("token_file", True), ("api_token", False)]
)
def test_of_a_provider_that_the_chart_does_not_know_names_tell(
    helm: Helm, name: str, *, public: bool
) -> None:
    """A password by its name is refused; the rest is for the provider to say."""
    values = {
        "provider": {"name": "folder", "settings": {name: "value"}},
        "driverName": "folder.example.org",
    }
    if public:
        assert config(helm.render(values=values)) == {"folder": {name: "value"}}
    else:
        with pytest.raises(Refused, match=r"by controller\.envFrom, from a Secret"):
            helm.render(values=values)
