"""The tiny model's token space: [words | characters | copy slots | screen cells], and actions in it.

A decision is one of

    cell                        tap its centre           copy                      type what it copies
    LONG cell                   long press               TYPE piece.. END          type the pieces
    SWIPE_UP (DOWN LEFT RIGHT)  a swipe across mid-screen  OPEN piece.. END        open an app by title
    SWIPE cell cell             any other swipe          ANSWER piece.. END        finish with an answer
    BACK HOME RECENTS ENTER DELETE, WAIT WAIT_5 WAIT_30, DONE, INFEASIBLE

A piece is a copy slot of the instruction or a printable ASCII character; a space is implied between two
copies and nowhere else, so any ASCII text has an encoding. Invariant: `decode(encode(a)) == a` for every
action without points, and points move to their cell's centre. Pure; called by `tiny_policy`.
"""

from __future__ import annotations

from collections.abc import Sequence

from android_env_gym.actions import (
    Action,
    ActionError,
    Finish,
    InvalidAction,
    Key,
    LongPress,
    OpenApp,
    PressKey,
    Swipe,
    Tap,
    TypeText,
    Wait,
    validate,
)
from distrl_trainer.policy.tiny_text import MAX_SLOTS, Instruction, parse

COLUMNS, ROWS = 16, 32
CELLS = COLUMNS * ROWS
WORDS = (
    "END", "TYPE", "OPEN", "ANSWER", "LONG", "SWIPE", "SWIPE_UP", "SWIPE_DOWN", "SWIPE_LEFT", "SWIPE_RIGHT",
    "BACK", "HOME", "RECENTS", "ENTER", "DELETE", "WAIT", "WAIT_5", "WAIT_30", "DONE", "INFEASIBLE",
)  # fmt: skip
CHARACTERS = "".join(map(chr, range(32, 127)))
WORD_ID = {word: i for i, word in enumerate(WORDS)}
CHAR_BASE = len(WORDS)
COPY_BASE = CHAR_BASE + len(CHARACTERS)
CELL_BASE = COPY_BASE + MAX_SLOTS
VOCABULARY = CELL_BASE + CELLS
END = WORD_ID["END"]

SWIPE_TOLERANCE = 0.06
"""How far, in screens, each end of a swipe may lie from a usual swipe to be expressed by its word."""

_KEYS: dict[str, Key] = {"BACK": "back", "HOME": "home", "RECENTS": "recents", "ENTER": "enter", "DELETE": "delete"}
_WAITS = {"WAIT": 1.0, "WAIT_5": 5.0, "WAIT_30": 30.0}
_SWIPES = {
    "SWIPE_UP": Swipe(0.5, 0.7, 0.5, 0.35),
    "SWIPE_DOWN": Swipe(0.5, 0.35, 0.5, 0.7),
    "SWIPE_LEFT": Swipe(0.8, 0.5, 0.2, 0.5),
    "SWIPE_RIGHT": Swipe(0.2, 0.5, 0.8, 0.5),
}
_SINGLE: dict[str, Action] = {
    **{word: PressKey(key) for word, key in _KEYS.items()},
    **{word: Wait(seconds) for word, seconds in _WAITS.items()},
    **_SWIPES,
    "DONE": Finish("complete"),
    "INFEASIBLE": Finish("infeasible"),
}


def cell_of(x: float, y: float) -> int:
    """Return the cell (row-major, 0 to `CELLS` - 1) that holds the point `(x, y)` in [0, 1]."""
    column = min(max(int(x * COLUMNS), 0), COLUMNS - 1)
    row = min(max(int(y * ROWS), 0), ROWS - 1)
    return row * COLUMNS + column


def centre_of(cell: int) -> tuple[float, float]:
    """Return the centre `(x, y)` of `cell`."""
    row, column = divmod(cell, COLUMNS)
    return (column + 0.5) / COLUMNS, (row + 0.5) / ROWS


def _point(x: float, y: float) -> int:
    return CELL_BASE + cell_of(x, y)


def _pieces(text: str, instruction: Instruction) -> list[int]:
    """Return the fewest pieces that spell `text` (quoted slots, then earlier slots, break ties)."""
    order = sorted(range(len(instruction.slots)), key=lambda i: (not instruction.quoted[i], i))
    # best[at][after_copy] = pieces that spell text[at:] when the piece before was (not) a copy
    best: list[list[list[int] | None]] = [[None, None] for _ in range(len(text) + 1)]
    best[len(text)] = [[], []]
    for at in range(len(text) - 1, -1, -1):
        for after_copy in (False, True):
            best[at][after_copy] = _best_piece(text, at, after_copy, instruction.slots, order, best)
    found = best[0][False]
    if found is None:
        bad = sorted({c for c in text if c not in CHARACTERS})
        raise ActionError(
            f"the tiny model cannot spell {text!r}: {bad} are neither printable ASCII nor part of a word that the "
            "instruction holds; use ASCII text or a language model"
        )
    return found


def _best_piece(
    text: str, at: int, after_copy: bool, slots: Sequence[str], order: Sequence[int], best: list[list[list[int] | None]]
) -> list[int] | None:
    found: list[int] | None = None
    if not after_copy or text[at] == " ":
        start = at + after_copy
        for slot in order:
            word = slots[slot]
            if not word or not text.startswith(word, start):
                continue
            rest = best[start + len(word)][True]
            if rest is not None and (found is None or len(rest) + 1 < len(found)):
                found = [COPY_BASE + slot, *rest]
    if text[at] in CHARACTERS:
        rest = best[at + 1][False]
        if rest is not None and (found is None or len(rest) + 1 < len(found)):
            found = [CHAR_BASE + CHARACTERS.index(text[at]), *rest]
    return found


def _encode_swipe(action: Swipe) -> list[int]:
    ends = (action.x1, action.y1, action.x2, action.y2)
    for word, swipe in _SWIPES.items():
        gaps = zip(ends, (swipe.x1, swipe.y1, swipe.x2, swipe.y2), strict=True)
        if all(abs(got - usual) <= SWIPE_TOLERANCE for got, usual in gaps):
            return [WORD_ID[word]]
    return [WORD_ID["SWIPE"], _point(action.x1, action.y1), _point(action.x2, action.y2)]


def _encode_text(word: str, text: str, instruction: Instruction) -> list[int]:
    return [WORD_ID[word], *_pieces(text, instruction), END]


def _encode_type(text: str, instruction: Instruction) -> list[int]:
    pieces = _pieces(text, instruction)
    return pieces if len(pieces) == 1 and pieces[0] >= COPY_BASE else [WORD_ID["TYPE"], *pieces, END]


def _encode_finish(action: Finish, instruction: Instruction) -> list[int]:
    if action.status == "infeasible":
        return [WORD_ID["INFEASIBLE"]]
    return _encode_text("ANSWER", action.answer, instruction) if action.answer else [WORD_ID["DONE"]]


def encode(action: Action, instruction: str) -> tuple[int, ...]:
    """Return the shortest token ids for `action`; points and waits move to the nearest expressible one.

    Raises:
        ActionError: A text holds characters that are neither ASCII nor copyable from the instruction.
    """
    parsed = parse(instruction)
    match action:
        case Tap(x, y):
            ids = [_point(x, y)]
        case LongPress(x, y):
            ids = [WORD_ID["LONG"], _point(x, y)]
        case Swipe():
            ids = _encode_swipe(action)
        case TypeText(text):
            ids = _encode_type(text, parsed)
        case PressKey(key):
            ids = [WORD_ID[key.upper()]]
        case OpenApp(app):
            ids = _encode_text("OPEN", app, parsed)
        case Wait(seconds):
            ids = [WORD_ID[min(_WAITS, key=lambda word: abs(_WAITS[word] - seconds))]]
        case Finish():
            ids = _encode_finish(action, parsed)
    return tuple(ids)


def is_complete(ids: Sequence[int]) -> bool:
    """Return whether `ids` end a decision (also an invalid one, which more tokens cannot repair)."""
    if not ids:
        return False
    head = WORDS[ids[0]] if ids[0] < len(WORDS) else ""
    if head in ("TYPE", "OPEN", "ANSWER"):
        return len(ids) > 1 and (ids[-1] < CHAR_BASE or ids[-1] >= CELL_BASE)
    if head == "LONG":
        return len(ids) == 2
    if head == "SWIPE":
        return len(ids) == 3 or (len(ids) == 2 and ids[-1] < CELL_BASE)
    return True


def _spell(pieces: Sequence[int], slots: Sequence[str]) -> str:
    text, after_copy = "", False
    for piece in pieces:
        copy = piece >= COPY_BASE
        if copy and after_copy:
            text += " "
        text += slots[piece - COPY_BASE] if copy else CHARACTERS[piece - CHAR_BASE]
        after_copy = copy
    return text


def _decode_text(head: str, ids: Sequence[int], slots: Sequence[str]) -> Action | InvalidAction:
    *pieces, last = ids[1:] or (-1,)
    if last != END or not (pieces or head == "TYPE"):
        return InvalidAction(f"{head} needs pieces of text, then END; got {name_tokens(ids)}")
    text = _spell(pieces, slots)
    action = TypeText(text) if head == "TYPE" else OpenApp(text) if head == "OPEN" else Finish("complete", text)
    try:
        return validate(action)
    except ActionError as error:
        return InvalidAction(str(error))


def decode(ids: Sequence[int], instruction: str) -> Action | InvalidAction:
    """Return the action that `ids` express, or an `InvalidAction` that names what was got and allowed."""
    slots = parse(instruction).slots
    if any(COPY_BASE + len(slots) <= i < CELL_BASE for i in ids):
        return InvalidAction(
            f"{name_tokens(ids)} copies a word that the instruction does not have ({len(slots)} slots)"
        )
    if not ids:
        return InvalidAction("no token was produced; one of the words, copy slots or cells is needed")
    if ids[0] >= CELL_BASE:
        return Tap(*centre_of(ids[0] - CELL_BASE))
    if ids[0] >= COPY_BASE:
        return TypeText(slots[ids[0] - COPY_BASE])
    head = WORDS[ids[0]] if ids[0] < CHAR_BASE else ""
    if head in _SINGLE:
        return _SINGLE[head]
    if head in ("TYPE", "OPEN", "ANSWER"):
        return _decode_text(head, ids, slots)
    cells = [centre_of(i - CELL_BASE) for i in ids[1:] if i >= CELL_BASE]
    if head == "LONG" and len(cells) == len(ids) - 1 == 1:
        return LongPress(*cells[0])
    if head == "SWIPE" and len(cells) == len(ids) - 1 == 2:
        return Swipe(*cells[0], *cells[1])
    return InvalidAction(
        f"got {name_tokens(ids)}; LONG takes one cell, SWIPE two, and a decision starts with a cell, a copy or a word"
    )


def name_tokens(ids: Sequence[int]) -> str:
    """Return `ids` in readable form, e.g. `TYPE copy3 'a' END` or `cell(4,17)`."""
    return " ".join(map(_name, ids))


def _name(token: int) -> str:
    if token >= CELL_BASE:
        row, column = divmod(token - CELL_BASE, COLUMNS)
        return f"cell({column},{row})"
    if token >= COPY_BASE:
        return f"copy{token - COPY_BASE}"
    return WORDS[token] if token < CHAR_BASE else repr(CHARACTERS[token - CHAR_BASE])
