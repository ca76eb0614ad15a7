"""`ifconfig`, `ip`, `ping`: the phone's addresses, in agreement with its Wi-Fi switch and "About phone"."""

from __future__ import annotations

from android_env_gym.phone.adbd.commands.base import Call, CommandError, RunCommand
from android_env_gym.phone.apps.settings.state import SettingsState
from android_env_gym.phone.world.edit import app_of

_INTERFACES = ("lo", "wlan0")


def _wifi(call: Call) -> tuple[str, str, bool]:
    """Return address and MAC of the Wi-Fi interface, and whether it is connected."""
    hardware = app_of(call.served.state, SettingsState).hardware
    device = call.served.state.system.settings
    return hardware.ip, hardware.wifi_mac, device.wifi and bool(device.wifi_network)


def ifconfig(call: Call) -> int:
    """Print one interface or all."""
    names = [arg for arg in call.args if not arg.startswith("-")]
    for name in names:
        if name not in _INTERFACES:
            raise CommandError(f"ifconfig: ioctl 8913: No such device: {name}")
    address, mac, connected = _wifi(call)
    for name in names or _INTERFACES:
        if name == "lo":
            call.line("lo        Link encap:Local Loopback  \n          inet addr:127.0.0.1  Mask:255.0.0.0 ")
            call.line("          UP LOOPBACK RUNNING  MTU:65536  Metric:1\n")
            continue
        call.line(f"wlan0     Link encap:Ethernet  HWaddr {mac}  Driver cnss_pci")
        if connected:
            call.line(f"          inet addr:{address}  Bcast:{_broadcast(address)}  Mask:255.255.255.0 ")
        call.line(f"          {'UP BROADCAST RUNNING' if connected else 'BROADCAST'} MULTICAST  MTU:1500  Metric:1\n")
    return 0


def ip(call: Call) -> int:
    """Print addresses, links or routes: `ip addr|link|route [show] [dev] NAME`."""
    words = [arg for arg in call.args if not arg.startswith("-") and arg not in ("show", "dev", "list", "table", "all")]
    what, names = (words[0] if words else ""), words[1:]
    address, mac, connected = _wifi(call)
    if what.startswith("r"):
        if connected:
            call.line(f"{address.rpartition('.')[0]}.0/24 dev wlan0 proto kernel scope link src {address} ")
        return 0
    if not what or not any(name.startswith(what) for name in ("address", "link")):
        raise CommandError(f'Object "{what}" is unknown, try "ip help".')
    for name in names:
        if name not in _INTERFACES:
            raise CommandError(f'Device "{name}" does not exist.')
    for name in names or _INTERFACES:
        _show(call, name, (address, mac, connected), addresses=what.startswith("a"))
    return 0


def _show(call: Call, name: str, wifi: tuple[str, str, bool], *, addresses: bool) -> None:
    address, mac, connected = wifi
    if name == "lo":
        call.line("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000")
        call.line("    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00")
        if addresses:
            call.line("    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever")
        return
    state = ("UP,LOWER_UP", "UP") if connected else ("NO-CARRIER", "DOWN")
    call.line(f"21: wlan0: <BROADCAST,MULTICAST,{state[0]}> mtu 1500 qdisc mq state {state[1]} group default qlen 3000")
    call.line(f"    link/ether {mac} brd ff:ff:ff:ff:ff:ff")
    if addresses and connected:
        call.line(f"    inet {address}/24 brd {_broadcast(address)} scope global wlan0")
        call.line("       valid_lft forever preferred_lft forever")


def _broadcast(address: str) -> str:
    return address.rpartition(".")[0] + ".255"


def ping(call: Call) -> int:
    """The phone's web is its own; no host answers."""
    host = call.args[-1] if call.args else ""
    raise CommandError(f"ping: unknown host {host}", 2)


COMMANDS: dict[str, RunCommand] = {"ifconfig": ifconfig, "ip": ip, "ping": ping}
