"""Painters of shop products for `art`: `Art("product", (kind, color))`, any kind of `KINDS` or an icon's name."""

from __future__ import annotations

from collections.abc import Callable

from android_env_gym.phone.ui.canvas import Canvas

KINDS = {
    "headphones": "headphones",
    "laptop": "laptop",
    "phone": "cellphone",
    "camera": "camera",
    "shoes": "shoe_sneaker",
    "watch": "watch",
    "lamp": "lamp",
    "book": "book",
    "backpack": "bag_personal",
    "speaker": "speaker",
    "mug": "coffee",
    "chair": "seat",
    "keyboard": "keyboard",
    "tv": "television",
    "mouse": "mouse",
    "tablet": "tablet",
    "shirt": "tshirt_crew",
    "bottle": "bottle_soda_classic",
    "bike": "bicycle",
    "guitar": "guitar_acoustic",
}


def product(canvas: Canvas, kind: str, color: str) -> None:
    """A product photographed on a light sweep."""
    middle_x, middle_y = canvas.w / 2, canvas.h / 2
    canvas.background(("#fbfbfc", "#e9ebef"))
    canvas.glow(middle_x, middle_y + 36, 38, 9, "#20242c", 0.35)
    icon = KINDS.get(kind, kind)
    canvas.icon(icon, middle_x, middle_y + 1.5, 76, canvas.shade(color, -0.45))
    canvas.icon(icon, middle_x, middle_y, 76, (canvas.shade(color, 0.3), canvas.shade(color, -0.2)))


PAINTERS: dict[str, Callable[..., None]] = {"product": product}
