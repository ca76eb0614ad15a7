"""Painting: pixels follow the view tree and nothing else."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from android_env_gym.phone.ui import art, canvas, widgets
from android_env_gym.phone.ui.layout import layout
from android_env_gym.phone.ui.node import Art, Event, Node
from android_env_gym.phone.ui.paint import paint
from android_env_gym.phone.ui.theme import theme
from android_env_gym.phone.ui.tree import ui_tree

E = Event()


def page(dialog: Node | None = None) -> Node:
    body = widgets.scroll(
        widgets.search_bar("q", "lamp", "Search", focused=True),
        widgets.switch_item("Wi-Fi", True, E, "Home", widgets.icon("wifi")),
        widgets.checkbox_item("Check", False, E),
        widgets.radio_item("Radio", True, E, enabled=False),
        widgets.list_item("Ann", leading=widgets.avatar("Ann"), trailing=widgets.badge("3"), on_tap=E, selected=True),
        widgets.row(*[widgets.button("B", E, kind) for kind in ("filled", "tonal", "outlined", "text", "elevated")]),
        widgets.row(widgets.chip("One", E, True), widgets.chip("Two", E), gap=8),
        widgets.text_field("a", "value", label="Label", focused=True, selected=True),
        widgets.slider("s", 0.3, "S"),
        widgets.progress(0.4),
        widgets.card(widgets.text("Card", "title"), widgets.picture("product", "lamp", "#aa5522", height=80), on_tap=E),
        widgets.divider(),
        widgets.section("Section"),
        padding=(16, 8, 16, 8),
        gap=4,
    )
    nav = widgets.bottom_nav((("home", "Home", E), ("cart", "Cart", E)), 1)
    return widgets.screen(
        widgets.large_top_bar("Page", back=E), body, bottom=nav, fab=widgets.fab("plus", E, "Add"), dialog=dialog
    )


def draw(root: Node, dark: bool = False, **scroll: float) -> np.ndarray:
    return paint(layout(root, 540, 1200, 1.5, 1.0, scroll), theme(dark))


def popups() -> list[Node]:
    return [
        widgets.dialog("Title", "Body", (widgets.button("OK", E, "text"),), dismiss=E),
        widgets.menu((("One", E), ("Two", E)), dismiss=E),
        widgets.bottom_sheet(widgets.list_item("Share", on_tap=E), dismiss=E, title="Sheet"),
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_popup_and_theme_draws_something_else(dark):
    frames = [draw(page(dialog), dark) for dialog in (None, *popups())]
    assert len({frame.tobytes() for frame in frames}) == 4
    assert all(frame.shape == (1200, 540, 3) and frame.dtype == np.uint8 for frame in frames)


def test_a_frame_does_not_depend_on_what_was_painted_before():
    first = draw(page())
    out = np.full((1200, 540, 3), 77, np.uint8)
    for dialog in popups():
        draw(page(dialog), True)
    laid = layout(page(), 540, 1200, 1.5)
    assert paint(laid, theme(False), out) is out
    assert np.array_equal(out, first)


def test_known_and_unknown_ground_draw_the_same_shapes():
    card = widgets.card(
        widgets.text("Some text"), widgets.icon("wifi", 30), widgets.avatar("B"), border="outline", width=200
    )
    holder = Node(children=(card,), padding=(20, 20, 20, 20))
    on_ground = draw(widgets.stack(holder, fill="surface"))
    floating = draw(widgets.stack(Node(width=1, height=1, place="bottom-right"), holder, fill="surface"))
    difference = np.abs(on_ground.astype(int) - floating.astype(int))
    assert difference.max() <= 8  # corners of the border: once drawn as a box in a box, once as a ring
    assert on_ground.std() > 5


def test_text_is_inside_the_bounds_that_the_tree_reports():
    root = widgets.column(
        Node(height=300), widgets.row(Node(width=100), widgets.text("Hello", "title_large", color="#ff0000"))
    )
    red = draw(root)[:, :, 1] < 128
    ys, xs = np.nonzero(red)
    node = next(node for node in ui_tree(layout(root, 540, 1200, 1.5)) if node.text == "Hello")
    left, top, right, bottom = node.bounds
    assert left <= xs.min() and xs.max() < right
    assert top <= ys.min() and ys.max() < bottom
    assert xs.max() - xs.min() > 0.8 * (right - left)


def test_scroll_containers_clip():
    rows = [Node(height=90, fill="#ff0000", text="x", text_align="center") for _ in range(20)]
    root = widgets.column(Node(height=100), widgets.scroll(*rows), Node(height=100), fill="#00ff00")
    frame = draw(root, list=45.0)
    assert (frame[:150] == (0, 255, 0)).all()
    assert (frame[-150:] == (0, 255, 0)).all()
    assert (frame[150:200, :50] == (255, 0, 0)).all()


def test_wrong_buffer_is_refused():
    laid = layout(page(), 540, 1200, 1.5)
    with pytest.raises(ValueError, match="1200, 540"):
        paint(laid, theme(False), np.zeros((540, 1200, 3), np.uint8))


@pytest.mark.parametrize("kind", sorted(art.PAINTERS))
def test_every_kind_of_art(kind):
    arguments: dict[str, tuple[str | int | float, ...]] = {
        "avatar": ("A", "#335577"),
        "avatar_icon": ("account", "#335577"),
        "app_icon": ("cog", "#335577"),
        "analog_clock": (10, 9, 30),
        "dial": (7, 12),
        "logo": ("Shoply", "#335577"),
        "site": ("Wiki", "#335577"),
        "product": ("headphones", "#335577"),
        "photo": (7,),
        "wallpaper": (2,),
        "switch": (1,),
        "slider": (0.5,),
        "progress": (0.5,),
        "ring": (0.5,),
    }
    for size in ((60, 60), (200, 90), (90, 200)):
        rgb, alpha = art.render(art.Picture(Art(kind, arguments.get(kind, ())), *size, theme(False)))
        assert rgb.shape == (size[1], size[0], 3)
        assert alpha is None or (alpha.shape == (size[1], size[0]) and alpha.max() > 128)


def test_unknown_art_is_named():
    with pytest.raises(KeyError, match="avatar"):
        draw(widgets.column(widgets.picture("avatr", "A", "#112233")))


def test_smooth_curve_passes_through_its_points():
    points = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)]
    assert set(points) <= set(canvas.smooth(points))


def test_two_processes_draw_the_same_pixels():
    code = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_ui_paint as t; "
        "print(hashlib.sha256(t.draw(t.page(t.popups()[0])).tobytes()).hexdigest())"
    )
    folder = __file__.rpartition("/")[0]
    other = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(draw(page(popups()[0])).tobytes()).hexdigest()
