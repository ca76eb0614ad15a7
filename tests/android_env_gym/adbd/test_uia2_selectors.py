"""Selectors: every mask bit against a plain filter of the tree; instances, chains and childBy as on Android."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uia2_client import Setup
from uiautomator2._selector import Selector as ClientSelector
from uiautomator2.exceptions import UiObjectNotFoundError

from android_env_gym.phone.adbd.hierarchy import Element, windows
from android_env_gym.phone.adbd.selectors import SelectorError, decode, find, find_all

SETTINGS = "com.android.settings"


@pytest.fixture
def phone() -> Setup:
    phone = Setup()
    phone.open(SETTINGS)
    return phone


Test = Callable[[Element], Any]
CRITERIA: list[tuple[dict[str, Any], Test]] = [
    ({"text": "Apps"}, lambda e: e.text == "Apps"),
    ({"text": ""}, lambda e: e.text == ""),
    ({"textContains": "Sound"}, lambda e: "Sound" in (e.text or "")),
    ({"textMatches": r"\w+"}, lambda e: (e.text or "").isalnum() or (e.text or "").replace("_", "a").isalnum()),
    ({"textStartsWith": "Net"}, lambda e: (e.text or "").startswith("Net")),
    ({"className": "android.widget.TextView"}, lambda e: e.node.class_name == "android.widget.TextView"),
    ({"classNameMatches": r".*\.Text.*"}, lambda e: ".Text" in e.node.class_name),
    ({"description": "Search settings"}, lambda e: e.node.label == "Search settings"),
    ({"descriptionContains": "settings"}, lambda e: "settings" in e.node.label),
    ({"descriptionMatches": "S.*s"}, lambda e: e.node.label.startswith("S") and e.node.label.endswith("s")),
    ({"descriptionStartsWith": "Search"}, lambda e: e.node.label.startswith("Search")),
    ({"checkable": True}, lambda e: e.node.checkable),
    ({"checked": False}, lambda e: not e.node.checked),
    ({"clickable": True}, lambda e: e.node.clickable),
    ({"longClickable": False}, lambda e: not e.node.long_clickable),
    ({"scrollable": True}, lambda e: e.node.scrollable),
    ({"enabled": True}, lambda e: e.node.enabled),
    ({"focusable": True}, lambda e: e.focusable),
    ({"focused": False}, lambda e: not e.node.focused),
    ({"selected": False}, lambda e: not e.node.selected),
    ({"packageName": SETTINGS}, lambda e: e.package == SETTINGS),
    ({"packageNameMatches": r"com\.android\..*"}, lambda e: e.package.startswith("com.android.")),
    ({"resourceId": "com.android.systemui:id/status_bar"}, lambda e: e.node.resource_id == "status_bar"),
    ({"resourceIdMatches": ".*bar"}, lambda e: e.node.resource_id.endswith("bar")),
]


@pytest.mark.parametrize(("criterion", "test"), CRITERIA, ids=[next(iter(item[0])) for item in CRITERIA])
def test_each_criterion_is_a_filter(phone: Setup, criterion: dict[str, Any], test: Test) -> None:
    roots = windows(phone.served)
    selector = decode(dict(ClientSelector(**criterion)))
    everywhere = [item for root in roots for item in root.walk() if test(item)]
    assert find(roots, selector) is (everywhere[0] if everywhere else None)
    assert bool(phone.d(**criterion).exists) == bool(everywhere)
    active = [item for item in roots[0].walk() if test(item)]
    if criterion != {"descriptionContains": "settings"}:  # counting ignores case, see below
        assert list(find_all(roots, selector)) == active
    assert phone.d(**criterion).count == len(list(find_all(roots, selector)))


@given(st.lists(st.sampled_from(CRITERIA), min_size=2, max_size=4, unique_by=lambda item: next(iter(item[0]))))
@settings(max_examples=30, deadline=None)
def test_criteria_together_are_their_conjunction(chosen: list[tuple[dict[str, Any], Test]]) -> None:
    phone = Setup()
    phone.open(SETTINGS)
    roots = windows(phone.served)
    merged = {key: value for criterion, _ in chosen for key, value in criterion.items()}
    both = (item for root in roots for item in root.walk() if all(test(item) for _, test in chosen))
    assert find(roots, decode(dict(ClientSelector(**merged)))) is next(both, None)


def test_counting_instances_and_negative_instances(phone: Setup) -> None:
    texts = phone.d(className="android.widget.TextView")
    infos = texts.info_list()
    assert len(texts) == len(infos) == texts.count > 10
    assert [item.info["text"] for item in texts] == [info["text"] for info in infos]
    assert texts[2].info == infos[2]
    assert texts[-1].info == infos[-1]
    assert phone.d(className="android.widget.TextView", instance=3).info == infos[3]
    assert texts[2].count == 1
    assert texts[500].count == 0
    assert not texts[500].exists


def test_index_is_the_place_among_the_siblings(phone: Setup) -> None:
    second = phone.d(className="android.widget.LinearLayout", index=2)
    assert second.exists
    element = find(windows(phone.served), decode(dict(second.selector)))
    assert element is not None
    assert element.parent is not None
    assert element.parent.children[2] is element


def test_case_counts_only_where_it_does_on_android(phone: Setup) -> None:
    assert not phone.d(textContains="network &").exists
    assert phone.d(textContains="network &").count == 1
    assert phone.d(textContains="network &", instance=0).exists
    assert not phone.d(text="apps").exists
    assert phone.d(text="apps").count == 0


def test_counting_looks_at_the_active_window_only(phone: Setup) -> None:
    bar = phone.d(resourceId="com.android.systemui:id/status_bar")
    assert bar.exists
    assert bar.count == 0


def test_children_and_siblings(phone: Setup) -> None:
    row = phone.d(className="android.widget.LinearLayout", clickable=True).child(text="Network & internet")
    assert row.exists
    assert row.sibling(textContains="Wi-Fi").get_text() == "Mobile, Wi-Fi, hotspot"
    assert not phone.d(text="Apps").child(text="Network & internet").exists
    inside = phone.d(scrollable=True).child(className="android.widget.TextView")
    everywhere = phone.d(className="android.widget.TextView")
    assert 5 < inside.count <= everywhere.count
    assert inside[1].get_text() == inside.info_list()[1]["text"]
    rows = phone.d(scrollable=True).child(clickable=True)
    assert rows[1].sibling(clickable=True).exists
    with pytest.raises(UiObjectNotFoundError):
        phone.d.jsonrpc.objInfo(phone.d(text="Apps").child(text="none").selector)


def test_beside(phone: Setup) -> None:
    below = phone.d(text="Network & internet").down(textContains="Wi-Fi")
    assert below.get_text() == "Mobile, Wi-Fi, hotspot"
    assert below.up(text="Network & internet").get_text() == "Network & internet"
    assert phone.d(text="Network & internet").left(text="Mobile, Wi-Fi, hotspot") is None


def test_child_by_text_description_and_instance(phone: Setup) -> None:
    rows = {"className": "android.widget.LinearLayout", "clickable": True}
    container = phone.d(scrollable=True)
    row = container.child_by_text("Network & internet", **rows)
    assert row.exists
    assert row.info["clickable"]
    assert row.info["childCount"] >= 2
    assert container.child_by_instance(1, **rows).info == row.info
    far = container.child_by_text("About phone", allow_scroll_search=True, **rows)
    assert far.exists
    assert phone.d(text="About phone").exists
    with pytest.raises(UiObjectNotFoundError):
        container.child_by_text("No such row", **rows)
    with pytest.raises(UiObjectNotFoundError):
        phone.d(text="no container").child_by_text("Apps", **rows)
    phone.served.key("home")
    icon = phone.d(packageName="com.google.android.apps.nexuslauncher").child_by_description("Cloc", clickable=True)
    assert icon.get_text() == "Clock"
    icon.click()
    assert phone.served.package() == "com.google.android.deskclock"
    assert not icon.exists


@pytest.mark.parametrize("raw", [3, [], None, {"mask": "x"}, {"mask": 4, "textMatches": "*"}, {"no": 1}])
def test_what_is_no_selector_is_refused(raw: object) -> None:
    with pytest.raises(SelectorError, match="not a selector"):
        decode(raw)


def test_a_chain_has_an_end() -> None:
    link = {"mask": 1, "text": "a"}
    decode({"mask": 0, "childOrSibling": ["child"] * 32, "childOrSiblingSelector": [link] * 32})
    with pytest.raises(SelectorError, match="33, allowed are 32"):
        decode({"mask": 0, "childOrSibling": ["child"] * 33, "childOrSiblingSelector": [link] * 33})
    broken = {"mask": 4, "textMatches": "("}
    with pytest.raises(SelectorError):
        decode({"mask": 0, "childOrSibling": ["child"], "childOrSiblingSelector": [broken]})


def test_numbers_stand_for_texts_and_selectors_print_as_androids_do() -> None:
    selector = decode(dict(ClientSelector(text=5, clickable=True, instance=2).child(resourceId="a:id/b")))
    assert selector.text == "5"
    assert str(selector) == "UiSelector[TEXT=5, CLICKABLE=True, INSTANCE=2, CHILD=UiSelector[RESOURCE_ID=a:id/b]]"
    assert str(decode(dict(ClientSelector(className="X", descriptionMatches=".")))) == (
        "UiSelector[DESCRIPTION_REGEX=., CLASS=X]"
    )
