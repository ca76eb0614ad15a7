"""Views of labels: choosing those of notes, and creating and deleting labels."""

from __future__ import annotations

from android_env_gym.phone.apps.notes.state import CreateLabel, DeleteLabel, NotesState, Tag
from android_env_gym.phone.state import Page, Pop, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Node


def picker(state: NotesState, page: Page) -> Node:
    """Return the labels with a checkbox each, for the notes whose keys are the page's argument."""
    keys = tuple(int(key) for key in page.arg.split(",") if key)
    notes = [note for note in state.notes if note.key in keys]
    typed = page.field("new_label").strip()
    shown = [label for label in state.labels if typed.casefold() in label.casefold()]
    rows = []
    for label in shown:
        on = bool(notes) and all(label in note.labels for note in notes)
        icon = w.icon("label-outline", 24, "on_surface_variant")
        rows.append(w.checkbox_item(label, on, Tag(keys, label, not on), leading=icon))
    if typed and typed not in state.labels:
        rows.append(w.list_item(f"Create \u201c{typed}\u201d", leading=w.icon("plus"), on_tap=CreateLabel(keys)))
    field = w.text_field("new_label", page.field("new_label"), "Enter label name", on_submit=CreateLabel(keys))
    body = w.column(Node(children=(field,), padding=(16, 4, 16, 8)), w.scroll(*rows, id="labels"), grow=1)
    return w.screen(w.top_bar("Labels", back=Pop()), body)


def edit(state: NotesState, page: Page) -> Node:
    """Return the page of the drawer's "Edit labels": a field for a new one, and all of them with a bin each."""
    field = w.text_field(
        "new_label",
        page.field("new_label"),
        "Create new label",
        leading_icon="plus",
        trailing=w.icon_button("check", CreateLabel(), "Create label"),
        on_submit=CreateLabel(),
    )
    rows = [
        w.list_item(
            label,
            leading=w.icon("label-outline", 24, "on_surface_variant"),
            trailing=w.icon_button("delete-outline", ShowDialog("delete_label", label), f"Delete label {label}"),
        )
        for label in state.labels
    ]
    dialog = None
    if page.dialog == "delete_label":
        label = page.field("dialog_arg")
        dialog = w.dialog(
            "Delete label?",
            f"\u201c{label}\u201d will be removed from all your notes. The notes stay.",
            (
                w.button("Cancel", ShowDialog(""), kind="text"),
                w.button("Delete", DeleteLabel(label), kind="text"),
            ),
            dismiss=ShowDialog(""),
        )
    body = w.column(Node(children=(field,), padding=(16, 4, 16, 8)), w.scroll(*rows, id="labels"), grow=1)
    return w.screen(w.top_bar("Edit labels", back=Pop()), body, dialog=dialog)
