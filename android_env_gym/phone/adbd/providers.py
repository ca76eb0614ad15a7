"""Content providers: text messages, contacts and settings as tables, read and written in the apps' own state.

A URI names a table; `rows` gives its rows, `insert`, `update` and `delete` change the phone. Columns are Android's
(`Telephony.Sms`, `ContactsContract`), as far as the phone has the data. Called by the shell's `content`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from android_env_gym.phone.adbd.device_settings import NAMESPACES, delete_setting, list_settings, put_setting
from android_env_gym.phone.adbd.intents import digits
from android_env_gym.phone.apps.contacts.state import Contact, ContactsState
from android_env_gym.phone.apps.messages.state import Conversation, Message, MessagesState
from android_env_gym.phone.world.edit import app_of, put_app

if TYPE_CHECKING:
    from android_env_gym.phone.adbd.served import ServedPhone

Value = str | int | None
Row = dict[str, Value]
replace = msgspec.structs.replace

_INBOX, _SENT = 1, 2
_PER_CHAT = 10_000  # message ids: 10,000 times the conversation's key and the message's place in it
_LATEST = 4_102_444_800_000  # the year 2100
_MIME = "vnd.android.cursor.item/"
_BOXES = {"": None, "inbox": _INBOX, "sent": _SENT}


class ProviderError(ValueError):
    """A URI that no provider answers, or values that its table cannot hold."""


def parse_uri(uri: str) -> tuple[str, int | None]:
    """Return the table that a content URI names and the id at its end, None if it has none.

    Raises:
        ProviderError: No table has this URI.
    """
    path = uri.removeprefix("content://").partition("?")[0].strip("/")
    found = re.fullmatch(r"(.*?)/(\d+)", path)
    path, row = (found.group(1), int(found.group(2))) if found is not None else (path, None)
    if path not in _TABLES:
        raise ProviderError(f"Could not find provider: {path.partition('/')[0]}")
    return path, row


def rows(served: ServedPhone, table: str) -> list[Row]:
    """Return the rows of a table in the provider's own order."""
    return _TABLES[table][0](served)


def insert(served: ServedPhone, table: str, values: Row) -> None:
    """Add a row.

    Raises:
        ProviderError: The table cannot be written, or a value is missing or of the wrong kind.
    """
    _TABLES[table][1](served, values)


def delete(served: ServedPhone, table: str, ids: set[Value]) -> None:
    """Delete the rows with these values of `_id` (of `name` for settings).

    Raises:
        ProviderError: The table cannot be written.
    """
    _TABLES[table][2](served, ids)


def update(served: ServedPhone, table: str, ids: set[Value], values: Row) -> None:
    """Change the rows with these ids.

    Raises:
        ProviderError: The table cannot be changed so.
    """
    _TABLES[table][3](served, ids, values)


# --- text messages ---


def _sms(box: int | None) -> Callable[[ServedPhone], list[Row]]:
    def read(served: ServedPhone) -> list[Row]:
        found = []
        for chat in app_of(served.state, MessagesState).conversations:
            last_in = max((i for i, item in enumerate(chat.messages) if not item.mine), default=-1)
            for index, message in enumerate(chat.messages):
                kind = _SENT if message.mine else _INBOX
                unread = chat.unread and index == last_in
                found.append(_sms_row(chat, message, _PER_CHAT * chat.key + index + 1, kind, unread))
        return [row for row in sorted(found, key=_newest_first) if box in (None, row["type"])]

    return read


def _newest_first(row: Row) -> tuple[int, int]:
    return -int(row["date"] or 0), -int(row["_id"] or 0)


def _sms_row(chat: Conversation, message: Message, number: int, kind: int, unread: bool) -> Row:
    return {
        "_id": number,
        "thread_id": chat.key + 1,
        "address": chat.phone,
        "person": None,
        "date": message.at,
        "date_sent": 0 if message.mine else message.at,
        "protocol": None if message.mine else 0,
        "read": int(not unread),
        "status": -1,
        "type": kind,
        "reply_path_present": None,
        "subject": None,
        "body": message.text,
        "service_center": None,
        "locked": 0,
        "sub_id": 1,
        "error_code": 0,
        "creator": "com.google.android.apps.messaging",
        "seen": 1,
    }


def _insert_sms(box: int | None) -> Callable[[ServedPhone, Row], None]:
    def write(served: ServedPhone, values: Row) -> None:
        address = str(values.get("address") or "")
        if not address:
            raise ProviderError("a message needs an address")
        kind = box or _number(values, "type", _INBOX)
        if kind not in (_INBOX, _SENT):
            raise ProviderError(f"type: got {kind}, allowed are {_INBOX} (inbox) and {_SENT} (sent)")
        at = _number(values, "date", served.state.now)
        if not 0 <= at <= _LATEST:
            raise ProviderError(f"date: got {at}, allowed are 0 to {_LATEST} milliseconds since 1970")
        message = Message(str(values.get("body") or ""), kind == _SENT, at)
        unread = kind == _INBOX and not _number(values, "read", 0)
        served.edit(lambda state: put_app(state, _with_message(served, address, message, unread)))

    return write


def _with_message(served: ServedPhone, address: str, message: Message, unread: bool) -> MessagesState:
    state = app_of(served.state, MessagesState)
    known = next((item for item in state.conversations if digits(item.phone) == digits(address)), None)
    if known is None:
        people = app_of(served.state, ContactsState).people
        person = next((item for item in people if digits(item.phone) == digits(address)), None)
        known = Conversation(state.next_key, person.name if person else address, address)
        state = MessagesState((*state.conversations, known), state.next_key + 1)
    messages = tuple(sorted((*known.messages, message), key=lambda item: item.at))
    return _changed(state, replace(known, messages=messages, unread=known.unread or unread))


def _changed(state: MessagesState, chat: Conversation) -> MessagesState:
    return replace(state, conversations=tuple(chat if item.key == chat.key else item for item in state.conversations))


def _number(values: Row, name: str, default: int) -> int:
    value = values.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        raise ProviderError(f"{name}: got {value!r}, allowed is a whole number") from None


def _delete_sms(served: ServedPhone, ids: set[Value]) -> None:
    """Delete messages; a conversation without any is gone too, as in Android's provider."""
    state = app_of(served.state, MessagesState)
    chats = []
    for chat in state.conversations:
        kept = tuple(
            message for index, message in enumerate(chat.messages) if _PER_CHAT * chat.key + index + 1 not in ids
        )
        if kept or not chat.messages:
            chats.append(replace(chat, messages=kept))
    served.edit(lambda phone: put_app(phone, replace(state, conversations=tuple(chats))))


def _update_sms(served: ServedPhone, ids: set[Value], values: Row) -> None:
    """Mark conversations as read or unread, or change the text of messages."""
    if extra := set(values) - {"read", "seen", "body"}:
        raise ProviderError(f"cannot change {', '.join(sorted(extra))}; allowed: read, seen, body")
    state = app_of(served.state, MessagesState)
    for chat in state.conversations:
        own = [_PER_CHAT * chat.key + index + 1 in ids for index in range(len(chat.messages))]
        if not any(own):
            continue
        if "read" in values:
            chat = replace(chat, unread=not _number(values, "read", 1))
        if "body" in values:
            body = str(values["body"])
            texts = (replace(m, text=body) if hit else m for m, hit in zip(chat.messages, own, strict=True))
            chat = replace(chat, messages=tuple(texts))
        state = _changed(state, chat)
    served.edit(lambda phone: put_app(phone, state))


def _threads(served: ServedPhone) -> list[Row]:
    chats = sorted(app_of(served.state, MessagesState).conversations, key=lambda chat: -chat.last_at)
    return [
        {
            "_id": chat.key + 1,
            "date": chat.last_at,
            "message_count": len(chat.messages),
            "recipient_ids": str(chat.key + 1),
            "snippet": chat.messages[-1].text if chat.messages else None,
            "read": int(not chat.unread),
            "archived": int(chat.archived),
        }
        for chat in chats
    ]


# --- contacts: one raw contact per contact, with the same id ---


def _people(served: ServedPhone) -> list[Contact]:
    return sorted(app_of(served.state, ContactsState).people, key=lambda person: person.key)


def _contacts(served: ServedPhone) -> list[Row]:
    return [
        {
            "_id": person.key + 1,
            "contact_id": person.key + 1,
            "display_name": person.name,
            "display_name_alt": f"{person.last}, {person.first}" if person.last else person.first,
            "has_phone_number": int(bool(person.phone)),
            "starred": int(person.starred),
            "lookup": f"0r{person.key + 1}-{person.first}",
            "in_visible_group": 1,
            "times_contacted": 0,
            "account_type": None,
            "account_name": None,
            "deleted": 0,
        }
        for person in _people(served)
    ]


def _data(kind: str | None = None) -> Callable[[ServedPhone], list[Row]]:
    def read(served: ServedPhone) -> list[Row]:
        found = []
        for person in _people(served):
            values: dict[str, Row] = {
                "name": {"data1": person.name, "data2": person.first, "data3": person.last or None},
                "phone_v2": {"data1": person.phone, "data2": 2, "data4": "+1" + digits(person.phone)},
                "email_v2": {"data1": person.email, "data2": 1},
                "organization": {"data1": person.company},
            }
            for place, (name, data) in enumerate(values.items()):
                if data["data1"] and kind in (None, name):
                    found.append(_data_row(person, 4 * person.key + place + 1, name, data))
        return found

    return read


def _data_row(person: Contact, number: int, kind: str, data: Row) -> Row:
    row: Row = {
        "_id": number,
        "raw_contact_id": person.key + 1,
        "contact_id": person.key + 1,
        "mimetype": _MIME + kind,
        "display_name": person.name,
        "starred": int(person.starred),
    }
    row |= {f"data{index}": data.get(f"data{index}") for index in range(1, 5)}
    return row | {"number": person.phone} if kind == "phone_v2" else row


def _insert_raw_contact(served: ServedPhone, values: Row) -> None:
    """Add an empty contact; its name and number come as rows of `data`."""
    state = app_of(served.state, ContactsState)
    new = Contact(state.next_key, "", starred=bool(_number(values, "starred", 0)))
    served.edit(lambda phone: put_app(phone, ContactsState((*state.people, new), state.next_key + 1)))


def _insert_data(served: ServedPhone, values: Row) -> None:
    kind = str(values.get("mimetype") or "").removeprefix(_MIME)
    key = _number(values, "raw_contact_id", 0) - 1
    state = app_of(served.state, ContactsState)
    person = state.person(key)
    if person is None:
        raise ProviderError(f"raw_contact_id: there is no raw contact {key + 1}")
    text = str(values.get("data1") or "")
    if kind == "name":
        first, _, last = text.partition(" ")
        person = replace(person, first=str(values.get("data2") or first), last=str(values.get("data3") or last))
    elif kind in _DATA_FIELDS:
        person = replace(person, **{_DATA_FIELDS[kind]: text})
    else:
        kinds = ", ".join(_MIME + name for name in ("name", *_DATA_FIELDS))
        raise ProviderError(f"mimetype: got {values.get('mimetype')!r}, allowed are {kinds}")
    people = tuple(person if item.key == key else item for item in state.people)
    served.edit(lambda phone: put_app(phone, replace(state, people=people)))


_DATA_FIELDS = {"phone_v2": "phone", "email_v2": "email", "organization": "company"}


def _delete_contacts(served: ServedPhone, ids: set[Value]) -> None:
    state = app_of(served.state, ContactsState)
    kept = tuple(person for person in state.people if person.key + 1 not in ids)
    served.edit(lambda phone: put_app(phone, replace(state, people=kept)))


def _update_contacts(served: ServedPhone, ids: set[Value], values: Row) -> None:
    if extra := set(values) - {"starred"}:
        raise ProviderError(f"cannot change {', '.join(sorted(extra))}; allowed: starred")
    starred = bool(_number(values, "starred", 0))
    state = app_of(served.state, ContactsState)
    people = tuple(replace(item, starred=starred) if item.key + 1 in ids else item for item in state.people)
    served.edit(lambda phone: put_app(phone, replace(state, people=people)))


# --- settings ---


def _settings(namespace: str) -> Table:
    def read(served: ServedPhone) -> list[Row]:
        values = list_settings(served, namespace)
        return [{"_id": index + 1, "name": name, "value": values[name]} for index, name in enumerate(values)]

    def write(served: ServedPhone, values: Row) -> None:
        name = str(values.get("name") or "")
        if not name or "value" not in values:
            raise ProviderError("a setting needs a name and a value")
        put_setting(served, (namespace, name), str(values["value"]))

    def named(served: ServedPhone, ids: set[Value]) -> list[str]:
        return [str(row["name"]) for row in read(served) if row["_id"] in ids]

    def remove(served: ServedPhone, ids: set[Value]) -> None:
        for name in named(served, ids):
            delete_setting(served, (namespace, name))

    def change(served: ServedPhone, ids: set[Value], values: Row) -> None:
        for name in named(served, ids):
            put_setting(served, (namespace, name), str(values.get("value", "")))

    return read, write, remove, change


def _no_insert(served: ServedPhone, values: Row) -> None:
    raise ProviderError("this table cannot be inserted into")


def _no_delete(served: ServedPhone, ids: set[Value]) -> None:
    raise ProviderError("this table cannot be deleted from")


def _no_update(served: ServedPhone, ids: set[Value], values: Row) -> None:
    raise ProviderError("this table cannot be updated")


Table = tuple[
    Callable[["ServedPhone"], list[Row]],
    Callable[["ServedPhone", Row], None],
    Callable[["ServedPhone", set[Value]], None],
    Callable[["ServedPhone", set[Value], Row], None],
]
_CONTACTS: Table = (_contacts, _no_insert, _delete_contacts, _update_contacts)
_TABLES: dict[str, Table] = {
    **{
        ("sms/" + name).rstrip("/"): (_sms(box), _insert_sms(box), _delete_sms, _update_sms)
        for name, box in _BOXES.items()
    },
    "mms-sms/conversations": (_threads, _no_insert, _no_delete, _no_update),
    "sms/conversations": (_threads, _no_insert, _no_delete, _no_update),
    "com.android.contacts/contacts": _CONTACTS,
    "com.android.contacts/raw_contacts": (_contacts, _insert_raw_contact, _delete_contacts, _update_contacts),
    "com.android.contacts/data": (_data(), _insert_data, _no_delete, _no_update),
    "com.android.contacts/data/phones": (_data("phone_v2"), _no_insert, _no_delete, _no_update),
    "com.android.contacts/data/emails": (_data("email_v2"), _no_insert, _no_delete, _no_update),
    **{f"settings/{namespace}": _settings(namespace) for namespace in NAMESPACES},
}
