"""The command line: argv and environment become settings, and nothing else reads them."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any, Final

import click

from diskcsi import former
from diskcsi.ports.provider import AnyProvider
from diskcsi.ports.settings import Setting, settings_of
from diskcsi.providers import registry
from diskcsi.settings import Plan, Settings, SettingsError, fill

DEFAULT_PROVIDER: Final = "alibaba"
PROVIDER_ENV: Final = "DISKCSI_PROVIDER"

METAVARS: Final = {bool: "BOOL", int: "NUMBER", float: "SECONDS", tuple: "A,B,..."}
"""What stands for a value in the help, by the kind of its default."""

DEBUG_VERBOSITY: Final = 4
"""Where drivers written in Go begin to tell every call."""


class SettingsCommand(click.Command):
    """A command whose options are the settings of the driver and of the provider it is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find the provider first: it decides which options there are."""
        provider = _load(self.provider_name(args))
        own = [parameter for parameter in self.params if parameter.name not in _names(provider)]
        self.params = [*own, *_options(Settings), *_options(provider.settings_type)]
        known = {parameter.name for parameter in self.params}
        self.params += [option for option in _former_options() if option.name not in known]
        ctx.obj = provider
        return super().parse_args(ctx, args)

    def provider_name(self, args: list[str]) -> str:
        """The provider that the options are to be of."""
        return _provider_name(args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options in three groups, and the settings that have no option for a reason."""
        provider: AnyProvider = ctx.obj
        driver, vendor = settings_of(Settings), settings_of(provider.settings_type)
        groups = {"Options": set(), "Driver settings": set(driver)}
        groups[f"Settings of provider {provider.name}"] = set(vendor)
        for title, names in groups.items():
            known = set(driver) | set(vendor)
            rows = [
                record
                for parameter in self.get_params(ctx)
                if (parameter.name in names or (not names and parameter.name not in known))
                and (record := parameter.get_help_record(ctx)) is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)
        secrets = [
            (" or ".join(told.env), told.help)
            for told in (*driver.values(), *vendor.values())
            if told.secret
        ]
        if secrets:
            with formatter.section("Environment only, since arguments are public"):
                formatter.write_dl(secrets)


class ConformanceCommand(SettingsCommand):
    """A command whose first argument is the provider."""

    def provider_name(self, args: list[str]) -> str:
        """The first word, unless it is an option."""
        return args[0] if args and not args[0].startswith("-") else super().provider_name(args)


def _provider_name(args: list[str]) -> str:
    """The value of --provider, wherever it stands; click reads it again later."""
    for place, word in enumerate(args):
        if word == "--provider" and place + 1 < len(args):
            return args[place + 1]
        if word.startswith("--provider="):
            return word.partition("=")[2]
    return os.environ.get(PROVIDER_ENV, "") or DEFAULT_PROVIDER


def _load(name: str) -> AnyProvider:
    try:
        return registry.load(name)
    except registry.ProviderNotUsable as error:
        raise click.UsageError(str(error)) from error


def _names(provider: AnyProvider) -> set[str]:
    return {*settings_of(Settings), *settings_of(provider.settings_type)}


def _options(settings_type: type) -> list[click.Option]:
    return [
        _option(settings_type, name, told)
        for name, told in settings_of(settings_type).items()
        if not told.secret
    ]


def _former_options() -> list[click.Option]:
    """Flags without effect, so that manifests of former drivers are taken; help shows none."""
    return [
        click.Option(
            [f"--{name}"],
            hidden=True,
            **({"is_flag": False, "flag_value": "true"} if name in former.SWITCHES else {}),  # type: ignore[arg-type]
        )
        for name in former.FLAGS
    ]


def _option(settings_type: type, name: str, told: Setting) -> click.Option:
    value = settings_type.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    default = _shown(value)
    notes = [f"env {', '.join(told.env)}"] * bool(told.env) + [default] * bool(default)
    extra: dict[str, Any] = {}
    if isinstance(value, bool):
        extra = {"is_flag": False, "flag_value": "true"}  # `--name` alone means true
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        default=None,
        metavar=METAVARS.get(type(value), "TEXT"),
        help=f"{told.help} [{'; '.join(notes)}]" if notes else told.help,
        **extra,
    )


def _shown(default: object) -> str:
    if default is MISSING:
        return "required"
    if default is None:
        return ""
    if isinstance(default, bool):
        text = str(default).lower()
    elif isinstance(default, tuple):
        text = ",".join(map(str, default))
    else:
        text = f"{default:g}" if isinstance(default, float) else str(default)
    return f"default {text}" * bool(text)


def _file(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    import tomllib  # late: few starts read a file

    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diskcsi")
@click.pass_context
def main(context: click.Context) -> None:
    """A Kubernetes CSI driver for cloud block disks."""
    # Off so far: a look for garbage among thousands of modules' objects costs a start more time
    # than all our modules do. The server switches it on when all of it is imported.
    if context.invoked_subcommand != "run":
        gc.enable()


@main.command(cls=SettingsCommand)
@click.option(
    "--provider",
    expose_value=False,  # found before the options were known
    help=f"the cloud's plug-in [env {PROVIDER_ENV}; default {DEFAULT_PROVIDER}]",
    shell_complete=lambda *_: sorted(registry.installed()),
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML file: driver settings at the top, the provider's in a table of its name",
)
@click.option(
    "--v",
    "verbosity",
    type=int,
    metavar="NUMBER",
    help=f"as Go's drivers take it: from {DEBUG_VERBOSITY} on it means --log-level=debug",
)
@click.pass_obj
def run(provider: AnyProvider, /, config: Path | None, verbosity: int | None, **flags: Any) -> None:  # noqa: ANN401
    """Serve the CSI services on a unix socket until SIGTERM.

    A setting is taken from its flag, else from its environment variable, else from the file, else
    its default stands.
    """
    from diskcsi import app  # late: `--help` and other commands need none of it

    if verbosity is not None and verbosity >= DEBUG_VERBOSITY and flags["log_level"] is None:
        flags["log_level"] = "debug"
    try:
        file = dict(_file(config))
        vendors = file.pop(provider.name, {})
        if not isinstance(vendors, dict):
            raise SettingsError(f"{config}: {provider.name} must be a table")
        plan = Plan(
            settings=_filled(Settings, flags, file),
            provider=provider,
            provider_settings=_filled(provider.settings_type, flags, vendors),
            warnings=former.told(flags, os.environ),
        )
        app.run(plan)
    except app.START_ERRORS as error:
        raise click.ClickException(str(error)) from error


def _filled(
    settings_type: type[Any], flags: Mapping[str, object], file: Mapping[str, object]
) -> Any:  # noqa: ANN401 - an object of `settings_type`
    names = settings_of(settings_type)
    return fill(
        settings_type,
        flags={name: value for name, value in flags.items() if name in names},
        environment=os.environ,
        file=file,
    )


@main.command()
@click.option(
    "--keep", is_flag=True, help="leave it running at the end, to look around; Ctrl-C ends it"
)
@click.option(
    "--latency",
    type=click.Choice(["real", "fast", "zero"]),
    default="fast",
    show_default=True,
    help="how long the cloud takes: real as on the cloud (three minutes in all), fast a tenth of"
    " it, zero at once",
)
def demo(*, keep: bool, latency: str) -> None:
    """Show a volume's whole life on this machine, on a mock of the cloud (needs root).

    A minute of real disks: create, attach, format, mount, write, grow, snapshot, move to another
    node, verify, restore, refuse what can't be, delete. Exit status 0: every check held and
    nothing is left.
    """
    import asyncio  # late, as all that follows: `run` needs none of it

    from diskcsi.orchestrator import demo as demonstration

    if missing := demonstration.missing():
        raise click.ClickException("the demo can't run here:\n  " + "\n  ".join(missing))
    try:
        held = asyncio.run(demonstration.run(keep=keep, latency=latency))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("\ninterrupted; everything it made is gone", err=True)
        raise SystemExit(130) from None
    raise SystemExit(0 if held else 1)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    for one in given:
        if "=" not in one:
            raise click.UsageError(f"--class {one!r}: allowed is KEY=VALUE")
    return dict(one.split("=", 1) for one in given)


@main.command(cls=ConformanceCommand)
@click.argument("name", metavar="PROVIDER", shell_complete=lambda *_: sorted(registry.installed()))
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="as for `run`")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["contract", "life", "sanity"]),
    help="run this part only; may be repeated; all by default",
)
@click.option("--other-node", default="", help="a second node, for the contract's moves")
@click.option(
    "--class",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="a parameter of the StorageClass to test with; may be repeated. csi-sanity names no zone:"
    " where a disk needs one, let the class name it",
)
@click.option("--size-gib", default=0, help="of the disks that are made; the smallest by default")
@click.option("--larger-gib", default=0, help="what they grow to; one more by default")
@click.option("--fs-type", default="ext4", show_default=True, help="the filesystem of the life")
@click.option("--attach-before-snapshot", is_flag=True, help="this cloud snapshots used disks only")
@click.option("--absent-snapshot", default="", help="an id as this cloud's, of no snapshot")
@click.option("--csi-sanity", default="", help="path of the binary; by default on the search path")
@click.pass_obj
def conformance(
    provider: AnyProvider,
    /,
    *,
    name: str,  # noqa: ARG001 - found before the options were known
    config: Path | None,
    parts: tuple[str, ...],
    other_node: str,
    parameters: tuple[str, ...],
    size_gib: int,
    larger_gib: int,
    fs_type: str,
    attach_before_snapshot: bool,
    absent_snapshot: str,
    csi_sanity: str,
    **flags: Any,  # noqa: ANN401
) -> None:
    """Prove an installed provider on this node (needs root, and pytest: `diskcsi[testing]`).

    The provider contract, a volume's life over real sockets, and the stock csi-sanity. It makes
    disks, and deletes them again, wherever the provider's settings point.
    """
    try:
        from diskcsi.conformance import command
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing: pip install 'diskcsi[testing]'"
        ) from error

    try:
        file = dict(_file(config)).get(provider.name, {})
        settings = _filled(provider.settings_type, flags, file)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    wanted = command.Wanted(
        parts=parts or command.PARTS,
        other_node=other_node,
        parameters=_pairs(parameters),
        size_gib=size_gib,
        larger_gib=larger_gib,
        fs_type=fs_type,
        attach_before_snapshot=attach_before_snapshot,
        absent_snapshot=absent_snapshot,
        csi_sanity=csi_sanity,
    )
    given = [
        f"--{key.replace('_', '-')}={value}" for key, value in flags.items() if value is not None
    ]
    if config is not None:
        given.append(f"--config={config.resolve()}")
    held = command.run(provider, settings, wanted, flags=given, environment=os.environ)
    raise SystemExit(0 if held else 1)
