"""The hierarchy XML: it agrees with the tree and the picture on every screen, in every variant, and parses as XML."""

from __future__ import annotations

import re

import pytest
from lxml import etree
from uia2_client import Setup

from android_env_gym.phone.adbd.hierarchy import to_xml, windows
from android_env_gym.phone.apps import APPS
from android_env_gym.phone.state import DeviceConfig, Focus, Open, Page, ShowShade, Toast
from android_env_gym.phone.system.reduce import handle

SYSTEM_UI = "com.android.systemui"
LATIN = "com.google.android.inputmethod.latin"


@pytest.fixture
def phone() -> Setup:
    return Setup()


def _nodes(xml: str) -> list[dict[str, str]]:
    return [dict(node.attrib) for node in etree.fromstring(xml.encode()).iter("node")]


def _packages(xml: str) -> list[str]:
    return [node.get("package") for node in etree.fromstring(xml.encode())]


def _pages() -> list[Page]:
    state = Setup().served.state
    data = {type(item): item for item in state.apps}
    return [page for app in APPS for page in app.sheet(data[app.state_type])]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: f"{page.app}-{page.name}-{page.arg}")
def test_every_screen_says_what_its_tree_says(phone: Setup, page: Page) -> None:
    phone.served.edit(lambda state: handle(state, Open(page)))
    tree = phone.served.tree()
    nodes = _nodes(phone.d.dump_hierarchy())
    roots = [node for node in nodes if node["class"] == "android.widget.FrameLayout" and not node["resource-id"]]
    described = sorted(
        (
            tuple(int(number) for number in re.findall(r"\d+", node["bounds"])),
            node["text"],
            node["content-desc"],
            node["resource-id"].rpartition("/")[2],
            node["class"],
            *(node[flag] == "true" for flag in ("clickable", "checkable", "checked", "scrollable", "enabled")),
            *(node[flag] == "true" for flag in ("long-clickable", "selected", "focused", "password")),
        )
        for node in nodes
        if node not in roots
    )
    expected = sorted(
        (
            node.bounds,
            node.text,
            node.label,
            node.resource_id,
            node.class_name,
            node.clickable,
            node.checkable,
            node.checked,
            node.scrollable,
            node.enabled,
            node.long_clickable,
            node.selected,
            node.focused,
            node.password,
        )
        for node in tree
    )
    assert described == expected
    package = phone.served.package()
    assert {node["package"] for node in nodes} == {package, SYSTEM_UI}
    assert all(node["resource-id"].startswith((node["package"] + ":id/",)) or not node["resource-id"] for node in nodes)


def test_windows_and_their_packages(phone: Setup) -> None:
    launcher = "com.google.android.apps.nexuslauncher"
    assert _packages(phone.d.dump_hierarchy()) == [launcher, SYSTEM_UI, SYSTEM_UI]
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.d(resourceId=f"{launcher}:id/query").click()
    assert _packages(phone.d.dump_hierarchy()) == [launcher, SYSTEM_UI, LATIN, SYSTEM_UI]
    assert _packages(phone.d.dump_hierarchy(root_in_active=True)) == [launcher]
    keys = [node for node in _nodes(phone.d.dump_hierarchy()) if node["package"] == LATIN]
    assert {"q", "Shift", "Enter", "Space"} <= {node["content-desc"] for node in keys}
    phone.served.handle(ShowShade("notifications"))
    assert _packages(phone.d.dump_hierarchy()) == [SYSTEM_UI]
    assert phone.d.info["currentPackageName"] == SYSTEM_UI
    phone.served.handle(ShowShade("recents"))
    assert _packages(phone.d.dump_hierarchy()) == [launcher]


def test_a_toast_belongs_to_the_app(phone: Setup) -> None:
    phone.open("com.android.settings")
    phone.served.handle(Toast("Saved"))
    toasts = [node for node in _nodes(phone.d.dump_hierarchy()) if node["text"] == "Saved"]
    assert [(node["text"], node["package"]) for node in toasts] == [("Saved", "com.android.settings")]


def test_compressed_leaves_out_what_only_arranges(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    full, short = _nodes(phone.d.dump_hierarchy()), _nodes(phone.d.dump_hierarchy(compressed=True))
    assert len(short) < len(full)
    said = {(node["text"], node["content-desc"], node["bounds"]) for node in short}
    for node in full:
        if node["text"] or node["content-desc"] or node["clickable"] == "true" or node["scrollable"] == "true":
            assert (node["text"], node["content-desc"], node["bounds"]) in said
    assert not [node for node in short if node["resource-id"].endswith("/status_bar")]


def test_pretty_depth_and_header(phone: Setup) -> None:
    plain = phone.d.dump_hierarchy()
    assert plain.startswith(
        "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?>\r\n<hierarchy rotation=\"0\">\r\n"
    )
    pretty = phone.d.dump_hierarchy(pretty=True)
    assert _nodes(pretty) == _nodes(plain)
    assert pretty.count("\n") > 10
    shallow = etree.fromstring(phone.d.dump_hierarchy(max_depth=1).encode())
    assert max(len(list(node.iterancestors())) for node in shallow.iter("node")) == 2
    assert len(phone.d.dump_hierarchy(max_depth=0)) < len(plain)


def test_hint_naf_and_password(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    field = phone.d.xpath('//*[@resource-id="com.google.android.apps.nexuslauncher:id/query"]').get()
    assert field.attrib["text"] == field.attrib["hint"] == "Search apps"
    phone.d(text="Search apps").set_text("clo")
    assert phone.d.xpath('//*[@focused="true"]').get().attrib["text"] == "clo"
    for node in _nodes(phone.d.dump_hierarchy()):
        if node.get("NAF") == "true":
            assert (node["clickable"], node["text"], node["content-desc"]) == ("true", "", "")


HOSTILE = "<a & \"b\" 'c'>]]>\n\ttab\u200f\U0001f600\x00\x1b\x85\ufffe end"


def test_any_text_becomes_well_formed_xml(phone: Setup) -> None:
    phone.served.handle(Open(Page("launcher", "drawer")))
    phone.served.handle(Focus("query"))
    phone.served.text(HOSTILE)
    text = next(node for node in _nodes(phone.d.dump_hierarchy()) if node["focused"] == "true")["text"]
    shown = next(node.text for node in phone.served.tree() if node.focused and node.editable)
    assert text == re.sub("[\x00\x1b\ufffe]", ".", shown)
    assert "\U0001f600" in text
    assert '<a & "b"' in text


def test_rotation_is_told_and_the_windows_turn_with_it(phone: Setup) -> None:
    phone.d.orientation = "left"
    xml = phone.d.dump_hierarchy()
    assert '<hierarchy rotation="1">' in xml
    assert _nodes(xml)[0]["bounds"] == "[0,0][1200,540]"
    phone.d.orientation = "natural"
    assert _nodes(phone.d.dump_hierarchy())[0]["bounds"] == "[0,0][540,1200]"


def test_a_dark_screen_has_windows_without_views(phone: Setup) -> None:
    phone.d.screen_off()
    assert len(_nodes(phone.d.dump_hierarchy())) == 1
    phone.d.screen_on()
    assert len(_nodes(phone.d.dump_hierarchy())) > 10


@pytest.mark.parametrize("density", [1.0, 2.0])
def test_other_screens_have_other_bounds(density: float) -> None:
    phone = Setup(config=DeviceConfig(width=720, height=1440, density=density))
    roots = windows(phone.served)
    assert roots[0].node.bounds == (0, 0, 720, 1440)
    assert phone.d.info["displaySizeDpX"] == round(720 / density)
    assert 'bounds="[0,0][720,1440]"' in to_xml(roots, 0)
