"""Layout, hit test and accessibility tree of the phone's UI kit."""

import pytest

from android_env_gym.phone.ui import hit, widgets
from android_env_gym.phone.ui.layout import Laid, Placed, layout
from android_env_gym.phone.ui.node import Event, Node, Slid
from android_env_gym.phone.ui.tree import ui_tree


class Did(Event, frozen=True):
    what: str


def place(root: Node, **scroll: float) -> Laid:
    return layout(root, 540, 1200, 1.5, 1.0, scroll)


def box(placed: Placed) -> tuple[int, int, int, int]:
    return placed.left, placed.top, placed.width, placed.height


def tap(laid: Laid, x: int, y: int, gesture: hit.Gesture = "tap") -> str | None:
    found = hit.hit(laid, x, y, gesture)
    return found.event.what if found is not None and isinstance(found.event, Did) else None


def test_column_and_row_share_what_is_left():
    root = widgets.column(
        Node(height=100),
        widgets.row(Node(width=60), Node(grow=1), Node(grow=2), grow=1, gap=10, align="stretch"),
        Node(height=50),
    )
    top, middle, bottom = place(root).root.children
    assert box(top) == (0, 0, 540, 150)
    assert box(middle) == (0, 150, 540, 975)
    assert box(bottom) == (0, 1125, 540, 75)
    fixed, one, two = middle.children
    assert (fixed.width, one.width, two.width) == (90, 140, 280)
    assert two.left + two.width == 540
    assert one.height == 975


@pytest.mark.parametrize(
    ("where", "corner"),
    [("top-left", (0, 0)), ("bottom-right", (390, 1050)), ("center", (195, 525)), ("bottom", (195, 1050))],
)
def test_stack_places_children(where, corner):
    child = place(widgets.stack(Node(width=100, height=100, place=where))).root.children[0]
    assert (child.left, child.top) == corner


def test_justify_align_and_padding():
    inner = Node(width=20, height=20)
    root = widgets.column(inner, inner, justify="between", align="end", padding=(10, 20, 30, 40))
    first, last = place(root).root.children
    assert box(first) == (540 - 45 - 30, 30, 30, 30)
    assert last.top + last.height == 1200 - 60


def test_a_row_that_is_too_full_shrinks_the_widest_and_shortens_it():
    long = Node(text="a text that is far too long for the width of the phone's screen", lines=1)
    row = place(widgets.column(widgets.row(Node(text="ab"), long, Node(width=40)))).root.children[0]
    assert sum(child.width for child in row.children) == 540
    assert row.children[1].lines[0].endswith("…")
    assert row.children[0].lines == ("ab",)


def test_scroll_clamps_clips_and_places_only_what_shows():
    rows = [Node(height=100, id=f"row{i}", on_tap=Did(str(i)), text=str(i)) for i in range(30)]
    root = widgets.column(Node(height=56), widgets.scroll(*rows, id="list"))
    laid = place(root)
    assert laid.scroll_max == {"list": 3000 - (800 - 56)}
    assert len(laid.root.children[1].children) == 8
    assert tap(laid, 100, 90) == "0"
    assert tap(place(root, list=250.0), 100, 90) == "2"
    end = place(root, list=1e9)
    assert end.root.children[1].offset == pytest.approx(laid.scroll_max["list"])
    assert tap(end, 100, 1199) == "29"
    assert tap(place(root, list=30.0), 100, 60) is None  # the row reaches under the bar, but is clipped there
    bounds = [node.bounds for node in ui_tree(place(root, list=250.0)) if node.resource_id.startswith("row")]
    assert bounds[0] == (0, 84, 540, 159)


def test_sideways_scroll():
    chips = [widgets.chip(f"Chip number {i}", Did(str(i))) for i in range(9)]
    root = widgets.column(widgets.scroll_row(*chips, id="chips"), widgets.scroll(Node(height=10)))
    laid = place(root)
    assert laid.scroll_max["chips"] > 100
    found = hit.scroll_at(laid, 200, 30, "row")
    assert found is not None and found.node.scroll == "chips"
    assert hit.scroll_at(laid, 200, 30) is None
    assert tap(place(root, chips=1e9), 490, 30) == "8"


def test_touches_bubble_to_the_row_but_not_through_a_button_in_it():
    item = widgets.list_item(
        "Title",
        on_tap=Did("row"),
        on_long_press=Did("held"),
        trailing=widgets.icon_button("star", Did("star"), "Star"),
    )
    laid = place(widgets.column(item))
    assert tap(laid, 60, 40) == "row"
    assert tap(laid, 480, 40) == "star"
    assert tap(laid, 480, 40, "long_press") == "held"
    assert tap(laid, 60, 900) is None


def test_disabled_controls_swallow_taps():
    item = widgets.list_item("Title", on_tap=Did("row"), trailing=widgets.switch(True, Did("no"), "S", enabled=False))
    laid = place(widgets.column(item))
    assert tap(laid, 490, 40) is None
    assert tap(laid, 60, 40) == "row"


def dialog_page() -> Laid:
    body = widgets.scroll(*[widgets.list_item(f"Row {i}", on_tap=Did("below")) for i in range(20)])
    actions = (widgets.button("Cancel", Did("cancel"), "text"), widgets.button("Delete", Did("delete"), "text"))
    dialog = widgets.dialog("Delete it?", "This cannot be undone.", actions, dismiss=Did("dismissed"))
    return place(
        widgets.screen(widgets.top_bar("List"), body, fab=widgets.fab("plus", Did("fab"), "New"), dialog=dialog)
    )


def test_dialog_blocks_the_page_and_its_scrim_dismisses():
    laid = dialog_page()
    nodes = {node.text: node for node in ui_tree(laid)}
    assert "Row 0" not in nodes
    left, top, right, bottom = nodes["Delete"].bounds
    assert tap(laid, (left + right) // 2, (top + bottom) // 2) == "delete"
    left, top, *_ = nodes["Delete it?"].bounds
    assert tap(laid, left + 5, top + 5) is None
    assert tap(laid, 270, 60) == "dismissed"
    assert tap(laid, 490, 1150) == "dismissed"
    assert hit.scroll_at(laid, 270, 900) is None


def test_a_field_in_a_dialog_takes_the_colour_of_the_dialog():
    dialog = widgets.dialog("Rename", widgets.text_field("n", "a", label="Name"), (), dismiss=None)

    def fills(node: Node) -> set[str]:
        return {node.fill}.union(*map(fills, node.children))

    assert "background" not in fills(dialog)
    assert hit.field_node(dialog, "n") is not None


def test_floating_button_hides_what_is_below_it():
    body = widgets.scroll(*[widgets.list_item(f"Row {i}", on_tap=Did("below")) for i in range(20)])
    laid = place(widgets.screen(widgets.top_bar("List"), body, fab=widgets.fab("plus", Did("fab"), "New")))
    assert tap(laid, 490, 1150) == "fab"
    assert tap(laid, 300, 1150) == "below"


def test_fields_and_sliders():
    field = widgets.text_field("name", "Ann", label="Name", trailing=widgets.icon_button("close", Did("x"), "Clear"))
    root = widgets.column(field, widgets.slider("volume", 0.25, "Volume"))
    laid = place(root)
    found = hit.hit(laid, 100, 50)
    assert found is not None and found.field == "name"
    assert tap(laid, 500, 50) == "x"
    slider = next(node for node in ui_tree(laid) if node.class_name == "android.widget.SeekBar")
    y = (slider.bounds[1] + slider.bounds[3]) // 2
    for x, expected in ((0, 0.0), (539, 1.0), (270, 0.5)):
        found = hit.hit(laid, x, y)
        assert found is not None and isinstance(found.event, Slid)
        assert found.event.value == pytest.approx(expected, abs=0.01)
    edit = next(node for node in ui_tree(laid) if node.editable)
    assert (edit.text, edit.class_name) == ("Ann", "android.widget.EditText")
    node = hit.field_node(root, "name")
    assert node is not None and node.text == "Ann"
    assert hit.field_node(root, "other") is None


def test_password_is_hidden_in_the_tree_too():
    laid = place(widgets.column(widgets.text_field("pw", "secret", password=True)))
    assert [(node.text, node.password) for node in ui_tree(laid)] == [("••••••", True)]


def test_controls_are_single_nodes():
    laid = place(
        widgets.column(
            widgets.switch_item("Wi-Fi", True, Did("wifi"), "Home", widgets.icon("wifi")),
            widgets.button("Save", Did("save"), icon="check"),
            widgets.checkbox(False, Did("tick"), "Tick"),
        )
    )
    switch, home, button, tick = ui_tree(laid)
    assert (switch.text, switch.class_name, switch.checkable, switch.checked) == (
        "Wi-Fi",
        "android.widget.Switch",
        True,
        True,
    )
    assert (home.text, home.clickable, home.depth) == ("Home", False, 1)
    assert (button.text, button.class_name, button.clickable) == ("Save", "android.widget.Button", True)
    assert (tick.label, tick.checked, tick.checkable) == ("Tick", False, True)


def test_touch_targets_are_48_dp_high():
    root = widgets.screen(
        widgets.top_bar("Title", back=Did("back"), actions=(widgets.icon_button("magnify", Did("s"), "Search"),)),
        widgets.scroll(
            widgets.list_item("One", on_tap=Did("1")),
            widgets.switch_item("Two", False, Did("2")),
            widgets.row(widgets.button("B", Did("b")), widgets.chip("C", Did("c")), widgets.radio(True, Did("r"), "R")),
            widgets.text_field("f", ""),
            widgets.search_bar("q", "", "Search"),
            widgets.tabs((("T1", Did("t1")), ("T2", Did("t2"))), 0),
        ),
        bottom=widgets.bottom_nav((("home", "Home", Did("h")), ("cart", "Cart", Did("k"))), 0),
        fab=widgets.fab("plus", Did("fab"), "Add", text="New"),
    )
    tappable = [node for node in ui_tree(place(root)) if node.clickable]
    assert len(tappable) == 14
    assert all(node.bounds[3] - node.bounds[1] >= 72 for node in tappable)


def test_tree_names_an_unknown_style():
    with pytest.raises(KeyError, match="title"):
        place(widgets.text("x", "titel"))
