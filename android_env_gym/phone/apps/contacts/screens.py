"""Views of Contacts: the list with search and favourites, a person, the form."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.contacts.state import Contact, ContactsState, Delete, Save, Star, TextTo
from android_env_gym.phone.state import Open, Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Node

FORM = (
    ("first", "First name", "account-outline"),
    ("last", "Last name", ""),
    ("company", "Company", "domain"),
    ("phone", "Phone", "phone-outline"),
    ("email", "Email", "email-outline"),
)


def view(state: ContactsState, context: Context) -> Node:
    """Return the view of the page in front."""
    page = context.page
    if page.name == "edit":
        return _form(page)
    if page.name == "person":
        person = state.person(int(page.arg))
        return (
            w.empty_state("account-off-outline", "This contact was deleted")
            if person is None
            else _person(person, page)
        )
    return _list(state, page)


def form_page(person: Contact | None) -> Page:
    """Return the form, filled with `person`'s data."""
    if person is None:
        return Page("contacts", "edit", "-1")
    return Page("contacts", "edit", str(person.key), fields=tuple((name, getattr(person, name)) for name, _, _ in FORM))


def _list(state: ContactsState, page: Page) -> Node:
    query = page.field("query")
    favorites = page.field("tab") == "favorites"
    people = sorted(
        (item for item in state.people if query.casefold() in item.name.casefold() and (item.starred or not favorites)),
        key=lambda item: (item.name.casefold(), item.key),
    )
    rows = [_row(item) for item in people]
    empty = "No favorites yet" if favorites and not query else "No contacts found"
    body = w.scroll(*rows, padding=(0, 4, 0, 88)) if rows else w.empty_state("account-search-outline", empty)
    nav = w.bottom_nav(
        (
            ("account-multiple", "Contacts", SetField("tab", "all")),
            ("star", "Favorites", SetField("tab", "favorites")),
        ),
        int(favorites),
    )
    bar = Node(padding=(16, 10, 16, 6), children=(w.search_bar("query", query, "Search contacts"),))
    return w.screen(bar, body, bottom=nav, fab=w.fab("plus", Open(form_page(None)), "Create contact"))


def _row(person: Contact) -> Node:
    star = w.icon("star", 20, "#f9ab00") if person.starred else None
    return w.list_item(
        person.name,
        leading=w.avatar(person.name, 40),
        trailing=star,
        on_tap=Open(Page("contacts", "person", str(person.key))),
    )


def _person(person: Contact, page: Page) -> Node:
    star = w.icon_button(
        "star" if person.starred else "star-outline",
        Star(person.key, not person.starred),
        "Remove from favorites" if person.starred else "Add to favorites",
    )
    actions = (
        w.icon_button("pencil-outline", Open(form_page(person)), "Edit contact"),
        star,
        w.icon_button("delete-outline", ShowDialog("delete"), "Delete contact"),
    )
    head = w.column(
        w.avatar(person.name, 112),
        w.text(person.name, "headline", text_align="center"),
        *((w.text(person.company, "body", color="on_surface_variant"),) if person.company else ()),
        align="center",
        gap=12,
        padding=(16, 16, 16, 20),
    )
    text = (Node(padding=(16, 0, 16, 16), children=(_text_button(person),)),) if person.phone else ()
    body = w.scroll(head, *text, _info_card(person), padding=(0, 0, 0, 24))
    dialog = None
    if page.dialog == "delete":
        dialog = w.dialog(
            "Delete contact?",
            f"{person.name} will be removed from this phone.",
            (w.button("Cancel", ShowDialog(""), kind="text"), w.button("Delete", Delete(person.key), kind="text")),
            dismiss=ShowDialog(""),
        )
    return w.screen(w.top_bar("", back=Pop(), actions=actions), body, dialog=dialog)


def _text_button(person: Contact) -> Node:
    ink = "on_secondary_container"
    return Node(
        height=64,
        radius=16,
        fill="secondary_container",
        align="center",
        justify="center",
        gap=4,
        on_tap=TextTo(person.key),
        label="Text",
        children=(w.icon("message-text-outline", 22, ink), w.text("Text", "label", color=ink)),
    )


def _info_card(person: Contact) -> Node:
    entries = [
        w.list_item(value, kind, leading=w.icon(icon, 24, "on_surface_variant"))
        for icon, value, kind in (
            ("phone-outline", person.phone, "Mobile"),
            ("email-outline", person.email, "Email"),
        )
        if value
    ]
    return Node(padding=(16, 0, 16, 0), children=(w.card(w.section("Contact info"), *entries),))


def _form(page: Page) -> Node:
    key = int(page.arg)
    fields = [
        w.text_field(name, page.field(name), "", label=label, leading_icon=icon, on_submit=Save(key))
        for name, label, icon in FORM
    ]
    title = "Create contact" if key < 0 else "Edit contact"
    bar = w.top_bar(title, back=Pop(), actions=(w.button("Save", Save(key)),))
    return w.screen(bar, w.scroll(*fields, gap=14, padding=(16, 16, 16, 24)))
