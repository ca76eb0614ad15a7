"""Views of Wi-Fi and Bluetooth: networks, the password dialog, network details, devices, pairing."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.settings.row_types import Switch
from android_env_gym.phone.apps.settings.rows import open_page, row_node, sub_page
from android_env_gym.phone.apps.settings.state import (
    ConnectDevice,
    ForgetDevice,
    ForgetNetwork,
    Network,
    PairDevice,
    PairedDevice,
    SettingsState,
    SubmitPassword,
    TapNetwork,
)
from android_env_gym.phone.state import ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Node


def internet(state: SettingsState, context: Context) -> Node:
    """Return the Wi-Fi switch and, while it is on, the networks in range, the connected one first."""
    settings = context.settings
    if settings.airplane_mode:
        body = [w.switch_item("Wi-Fi", False, None, enabled=False)]
        body.append(w.empty_state("airplane", "To see available networks, turn Airplane mode off"))
        return sub_page("Internet", *body)
    body = [row_node(Switch("wifi", "Wi-Fi"), state, context)]
    if settings.wifi:
        ordered = sorted(state.networks, key=lambda item: item.name != settings.wifi_network)
        body += [_network_row(item, item.name == settings.wifi_network) for item in ordered]
    else:
        body.append(w.empty_state("wifi-off", "To see available networks, turn Wi-Fi on"))
    return sub_page("Internet", *body, dialog=_password_dialog(context))


def _network_row(network: Network, connected: bool) -> Node:
    note = "Connected" if connected else ("Saved" if network.saved else "")
    mark = "cog-outline" if connected else ("lock-outline" if network.password else "")
    return w.list_item(
        network.name,
        note,
        leading=w.icon(f"wifi-strength-{network.strength}", 24, "primary" if connected else "on_surface_variant"),
        trailing=w.icon(mark, 20, "on_surface_variant") if mark else None,
        on_tap=TapNetwork(network.name),
        fill="secondary_container" if connected else "",
    )


def _password_dialog(context: Context) -> Node | None:
    if context.page.dialog != "password":
        return None
    name = context.page.field("dialog_arg")
    field = w.text_field("password", context.page.field("password"), "", label="Password", on_submit=SubmitPassword())
    buttons = (
        w.button("Cancel", ShowDialog(""), kind="text"),
        w.button("Connect", SubmitPassword(), kind="text"),
    )
    return w.dialog(name, w.column(field, padding=(24, 0, 24, 0)), buttons, dismiss=ShowDialog(""))


def wifi_network(state: SettingsState, context: Context) -> Node:
    """Return the details of one network, with the button that forgets it."""
    name = context.page.arg
    network = next((item for item in state.networks if item.name == name), Network(name))
    words = ("", "Weak", "Fair", "Good", "Excellent")
    connected = context.settings.wifi_network == name
    return sub_page(
        "Network details",
        w.column(
            w.icon(f"wifi-strength-{network.strength}", 40, "primary"),
            w.text(name, "title_large"),
            w.text("Connected" if connected else "Saved", "caption"),
            align="center",
            gap=6,
            padding=(16, 8, 16, 16),
        ),
        w.row(w.button("Forget", ForgetNetwork(name), kind="outlined", icon="delete-outline"), padding=(16, 0, 16, 16)),
        w.list_item("Signal strength", words[network.strength]),
        w.list_item("Security", "WPA/WPA2-Personal" if network.password else "None"),
        w.list_item("IP address", state.hardware.ip),
        w.list_item("Randomized MAC address", state.hardware.wifi_mac),
    )


def connected(state: SettingsState, context: Context) -> Node:
    """Return "Connected devices": pairing, known devices, connection switches."""
    known = [item for item in state.devices if item.paired]
    on = context.settings.radio("bluetooth")
    pair = w.list_item("Pair new device", leading=w.icon("plus", 24, "primary"), on_tap=open_page("pair"))
    switches = (
        Switch("bluetooth", "Bluetooth"),
        Switch("nfc", "NFC", "Exchange data when the phone touches another device"),
        Switch("nearby_share", "Nearby Share"),
    )
    return sub_page(
        "Connected devices",
        pair,
        *(row_node(item, state, context) for item in switches),
        *((w.section("Saved devices"),) if known else ()),
        *(_device_row(item, on) for item in known),
        dialog=_forget_dialog(context),
    )


def _device_row(device: PairedDevice, bluetooth: bool) -> Node:
    note = "Connected" if device.connected and bluetooth else "Saved"
    gear = w.icon_button("delete-outline", ShowDialog("forget", device.name), f"Forget {device.name}")
    return w.list_item(
        device.name,
        note,
        leading=w.icon(device.kind, 24, "on_surface_variant"),
        trailing=gear,
        on_tap=ConnectDevice(device.name) if bluetooth else None,
    )


def _forget_dialog(context: Context) -> Node | None:
    if context.page.dialog != "forget":
        return None
    name = context.page.field("dialog_arg")
    buttons = (
        w.button("Cancel", ShowDialog(""), kind="text"),
        w.button("Forget device", ForgetDevice(name), kind="text"),
    )
    body = f"Your phone will no longer be paired with {name}"
    return w.dialog("Forget device?", body, buttons, dismiss=ShowDialog(""))


def pair(state: SettingsState, context: Context) -> Node:
    """Return the devices in range that are not paired; Bluetooth is on while one looks for them."""
    found = [item for item in state.devices if not item.paired]
    rows = (
        w.list_item(
            item.name,
            leading=w.icon(item.kind, 24, "on_surface_variant"),
            on_tap=ShowDialog("pair", item.name),
        )
        for item in found
    )
    own = w.list_item("Device name", state.hardware.name)
    return sub_page("Pair new device", own, w.section("Available devices"), *rows, dialog=_pair_dialog(context))


def _pair_dialog(context: Context) -> Node | None:
    if context.page.dialog != "pair":
        return None
    name = context.page.field("dialog_arg")
    buttons = (w.button("Cancel", ShowDialog(""), kind="text"), w.button("Pair", PairDevice(name), kind="text"))
    body = "Allow access to your contacts and call history when connected"
    return w.dialog(f"Pair with {name}?", body, buttons, dismiss=ShowDialog(""))
