"""Views of Messages: the inbox, the archive, a chat, a new conversation."""

from __future__ import annotations

from android_env_gym.phone.app import Context
from android_env_gym.phone.apps.messages.state import (
    Archive,
    Conversation,
    DeleteChat,
    MarkAllRead,
    MarkUnread,
    Message,
    MessagesState,
    OpenChat,
    Pin,
    Send,
    StartChat,
)
from android_env_gym.phone.dates import short_date, time_of_day, weekday
from android_env_gym.phone.state import Open, Page, Pop, SetField, ShowDialog
from android_env_gym.phone.ui import widgets as w
from android_env_gym.phone.ui.node import Event, Node

DAY_MS = 86_400_000
SHOWN_MESSAGES = 40


def view(state: MessagesState, context: Context) -> Node:
    """Return the view of the page in front."""
    page = context.page
    if page.name == "chat":
        chat = state.conversation(int(page.arg))
        gone = w.empty_state("message-off-outline", "This conversation was deleted")
        return gone if chat is None else _chat(chat, context)
    if page.name == "new":
        return _new(context)
    return _inbox(state, context)


def _inbox(state: MessagesState, context: Context) -> Node:
    page = context.page
    archive = page.name == "archived"
    query = page.field("query").casefold()
    chats = sorted(
        (item for item in state.conversations if item.archived == archive and query in item.name.casefold()),
        key=lambda item: (not item.pinned, -item.last_at, item.key),
    )
    rows = [_row(item, context, archive) for item in chats]
    empty = w.empty_state("archive-outline" if archive else "message-outline", "No conversations")
    body = w.scroll(*rows, padding=(0, 4, 0, 88)) if rows else empty
    dialog = _row_actions(state, page) if page.dialog == "selected" else _list_menu(page, archive)
    if archive:
        return w.screen(w.top_bar("Archived", back=Pop()), body, dialog=dialog)
    actions = (
        w.icon_button("magnify", SetField("searching", "" if page.field("searching") else "yes"), "Search"),
        w.icon_button("dots-vertical", ShowDialog("menu"), "More options"),
    )
    top = w.top_bar("Messages", actions=actions)
    if page.field("searching"):
        search = Node(
            padding=(16, 4, 16, 4), children=(w.search_bar("query", page.field("query"), "Search conversations"),)
        )
        top = w.column(top, search)
    new = w.fab("message-plus-outline", Open(Page("messages", "new")), "Start chat", text="Start chat")
    return w.screen(top, body, fab=new, dialog=dialog)


def _row(chat: Conversation, context: Context, archive: bool) -> Node:
    last = chat.messages[-1] if chat.messages else Message("", True, 0)
    preview = f"You: {last.text}" if last.mine else last.text
    marks = [w.text(_when(last.at, context), "caption", color="primary" if chat.unread else "on_surface_variant")]
    if chat.pinned:
        marks.append(w.icon("pin", 16, "on_surface_variant"))
    elif chat.unread:
        marks.append(Node(width=10, height=10, radius=5, fill="primary"))
    return w.list_item(
        chat.name,
        preview,
        leading=w.avatar(chat.name, 44),
        trailing=w.column(*marks, align="end", gap=4),
        on_tap=OpenChat(chat.key),
        on_long_press=Archive(chat.key, False) if archive else ShowDialog("selected", str(chat.key)),
    )


def _list_menu(page: Page, archive: bool) -> Node | None:
    if page.dialog != "menu" or archive:
        return None
    items: tuple[tuple[str, Event], ...] = (
        ("Archived", Open(Page("messages", "archived"))),
        ("Mark all as read", MarkAllRead()),
        ("Settings", Open(Page("settings", "app", "messages"))),
    )
    return w.menu(items, dismiss=ShowDialog(""))


def _row_actions(state: MessagesState, page: Page) -> Node | None:
    chat = state.conversation(int(page.field("dialog_arg", "-1")))
    if chat is None:
        return None
    items: tuple[tuple[str, Event], ...] = (
        ("Unpin" if chat.pinned else "Pin", Pin(chat.key, not chat.pinned)),
        ("Archive", Archive(chat.key, True)),
        ("Mark as unread", MarkUnread(chat.key)),
        ("Delete", DeleteChat(chat.key)),
    )
    return w.menu(items, dismiss=ShowDialog(""))


def _chat(chat: Conversation, context: Context) -> Node:
    page = context.page
    draft = page.field("draft")
    actions = (w.icon_button("dots-vertical", ShowDialog("menu"), "More options"),)
    bubbles = [_bubble(item, context) for item in chat.messages[-SHOWN_MESSAGES:]]
    empty = w.text(f"Texting with {chat.name}", "body", color="on_surface_variant", text_align="center")
    padding = (12, 12, 12, 12)
    body = w.scroll(*(bubbles or (empty,)), gap=6, padding=padding, id=f"chat{chat.key}", from_end=True)
    field = Node(grow=1, children=(w.text_field("draft", draft, "Text message", on_submit=Send(chat.key)),))
    compose = w.row(
        field,
        w.icon_button("send", Send(chat.key), "Send"),
        align="center",
        padding=(12, 4, 4, 8),
        gap=2,
    )
    dialog = _chat_dialog(chat, page)
    return w.screen(w.top_bar(chat.name, back=Pop(), actions=actions), body, bottom=compose, dialog=dialog)


def _chat_dialog(chat: Conversation, page: Page) -> Node | None:
    if page.dialog == "menu":
        items: tuple[tuple[str, Event], ...] = (
            ("Unpin" if chat.pinned else "Pin", Pin(chat.key, not chat.pinned)),
            ("Move to inbox" if chat.archived else "Archive", Archive(chat.key, not chat.archived)),
            ("Details", ShowDialog("details")),
            ("Delete", ShowDialog("delete")),
        )
        return w.menu(items, dismiss=ShowDialog(""))
    if page.dialog == "details":
        close = w.button("Close", ShowDialog(""), kind="text")
        return w.dialog(chat.name, chat.phone, (close,), dismiss=ShowDialog(""))
    if page.dialog == "delete":
        buttons = (
            w.button("Cancel", ShowDialog(""), kind="text"),
            w.button("Delete", DeleteChat(chat.key), kind="text"),
        )
        return w.dialog("Delete this conversation?", "This can\u2019t be undone.", buttons, dismiss=ShowDialog(""))
    return None


def _bubble(message: Message, context: Context) -> Node:
    fill, color = ("primary", "on_primary") if message.mine else ("surface_container_high", "on_surface")
    face = Node(
        children=(Node(text=message.text, style="body", color=color),), fill=fill, radius=18, padding=(14, 9, 14, 9)
    )
    stamp = Node(text=_when(message.at, context), style="caption", color="on_surface_variant")
    side = "end" if message.mine else "start"
    inset = (56.0, 0.0, 0.0, 0.0) if message.mine else (0.0, 0.0, 56.0, 0.0)
    return Node(children=(face, stamp), align=side, gap=2, padding=inset)


def _new(context: Context) -> Node:
    query = context.page.field("to")
    people = [item for item in context.contacts if query.casefold() in item.name.casefold()]
    rows = [
        w.list_item(item.name, item.phone, leading=w.avatar(item.name, 40), on_tap=StartChat(item.name, item.phone))
        for item in sorted(people, key=lambda item: item.name)
    ]
    number = query.strip()
    if number and not people and any(character.isdigit() for character in number):
        rows = [w.list_item(f"Send to {number}", leading=w.icon("dialpad", 24), on_tap=StartChat(number, number))]
    to = Node(padding=(16, 8, 16, 8), children=(w.text_field("to", query, "Type a name or number", label="To"),))
    return w.screen(w.top_bar("New conversation", back=Pop()), w.column(to, w.scroll(*rows, id="people"), grow=1))


def _when(at: int, context: Context) -> str:
    if not at:
        return ""
    if at // DAY_MS == context.now // DAY_MS:
        return time_of_day(at, context.settings)
    recent = context.now - at < 6 * DAY_MS
    return weekday(at, context.settings) if recent else short_date(at, context.settings)
