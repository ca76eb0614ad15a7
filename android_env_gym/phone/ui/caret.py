"""Where the caret stands: from a character of a text field to pixels, for `paint`, and back, for a tap.

A caret is an index into the text of a field's leaf: it stands in front of that character, -1: behind the last.
"""

from __future__ import annotations

from android_env_gym.phone.ui import text as texts
from android_env_gym.phone.ui.layout import Font, Placed


def first_line(placed: Placed, density: float) -> tuple[int, int]:
    """Return left and top in pixels of the first line of a text leaf that is aligned to its start."""
    left, top, _, bottom = (int(side * density + 0.5) for side in placed.node.padding)
    written = placed.font.line * len(placed.lines) if placed.font is not None else 0
    return placed.left + left, placed.top + top + max(0, placed.height - top - bottom - written) // 2


def place_of_caret(placed: Placed, density: float) -> tuple[int, int]:
    """Return in which line of a focused text leaf its caret stands, and how many pixels from the line's start."""
    node, font = placed.node, placed.font
    if font is None or not node.text:
        return 0, 0
    starts = _starts(placed, density)
    caret = len(node.text) if node.caret < 0 else node.caret
    row = max(index for index, start in enumerate(starts) if start <= caret or index == 0)
    line = placed.lines[row]
    return row, texts.measure(line[: caret - starts[row]], font.weight, font.size)


def caret_line(field: Placed, density: float) -> tuple[int, int]:
    """Return top and bottom in pixels of the line with the caret of a focused text field."""
    leaf = next((child for child in field.children if child.lines), None)
    if leaf is None or leaf.font is None:
        return field.top, field.top + field.height
    top = first_line(leaf, density)[1] + place_of_caret(leaf, density)[0] * leaf.font.line
    return top, top + leaf.font.line


def caret_at(field: Placed, x: int, y: int, density: float) -> int:
    """Return the caret that a tap at the pixel sets in a text field.

    It stands between the two nearest characters; below the last line, behind the last character.
    """
    leaf = next((child for child in field.children if child.lines and child.node.text), None)
    if leaf is None or leaf.font is None:
        return -1
    left, top = first_line(leaf, density)
    row = 0 if leaf.node.lines == 1 else max((y - top) // leaf.font.line, 0)
    if row >= len(leaf.lines):
        return -1
    caret = _starts(leaf, density)[row] + _column(leaf.lines[row], leaf.font, x - left)
    return caret if caret < len(leaf.node.text) else -1


def _column(line: str, font: Font, x: int) -> int:
    """Return how many characters of `line` lie before `x` pixels; one that `x` is in counts from its middle on."""
    ends = (texts.measure(line[:count], font.weight, font.size) for count in range(len(line) + 1))
    distances = [abs(end - x) for end in ends]
    return distances.index(min(distances))


def _starts(placed: Placed, density: float) -> tuple[int, ...]:
    """Return the index in the leaf's text at which each of its lines starts."""
    node, font = placed.node, placed.font
    if font is not None and node.focused and node.lines == 1:
        left, _, right, _ = (int(side * density + 0.5) for side in node.padding)
        room = placed.width - left - right - 3
        return (texts.window(texts.clean(node.text), node.caret, font.weight, font.size, room)[0],)
    starts: list[int] = []
    at = 0
    for line in placed.lines:
        found = node.text.find(line.removesuffix(texts.ELLIPSIS), at)
        starts.append(max(found, at))
        at = starts[-1] + len(line)
        blanks = len(node.text[at:]) - len(node.text[at:].lstrip(" "))
        if node.text[at + blanks : at + blanks + 1] == "\n":
            at += blanks + 1
    return tuple(starts)
