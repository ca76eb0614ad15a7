"""The commands of the device shell, by name; one module a theme."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands import (
    activity,
    cmd,
    content,
    dumpsys,
    files,
    input,
    logs,
    network,
    packages,
    screen,
    settings,
    system,
    text,
)
from android_env_gym.phone.adbd.commands.base import Call, CommandError, RunCommand


def toybox(call: Call) -> int:
    """Run a command of the box, or list them."""
    if not call.args:
        call.line(" ".join(sorted(TOYBOX)))
        return 0
    command = TOYBOX.get(call.args[0])
    if command is None:
        raise CommandError(f'toybox: Unknown command {call.args[0]} (see "toybox --help")', 127)
    return command(call.with_args(call.args))


def which(call: Call) -> int:
    """Print where commands lie."""
    found = [name for name in call.args if name in COMMANDS]
    for name in found:
        call.line(f"/system/bin/{name}")
    return int(len(found) != len(call.args) or not found)


TOYBOX: dict[str, RunCommand] = {**text.COMMANDS, **files.COMMANDS, **system.COMMANDS, "which": which}
COMMANDS: dict[str, RunCommand] = {
    **TOYBOX,
    **activity.COMMANDS,
    **cmd.COMMANDS,
    **content.COMMANDS,
    **dumpsys.COMMANDS,
    **input.COMMANDS,
    **network.COMMANDS,
    **packages.COMMANDS,
    **settings.COMMANDS,
    **logs.COMMANDS,
    **screen.COMMANDS,
    "toybox": toybox,
}
