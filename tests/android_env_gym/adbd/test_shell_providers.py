"""`content` and intents work on the same messages and contacts that the apps show."""

from __future__ import annotations

import shlex

import pytest

from android_env_gym.phone.adbd.served import ServedPhone
from android_env_gym.phone.adbd.shell import run
from android_env_gym.phone.apps.contacts.state import ContactsState
from android_env_gym.phone.apps.messages.state import MessagesState
from android_env_gym.phone.world.edit import app_of

MESSAGES, CONTACTS = "com.google.android.apps.messaging", "com.google.android.contacts"
CLOCK, LAUNCHER = "com.google.android.deskclock", "com.google.android.apps.nexuslauncher"
SMS, PHONES = "content://sms", "content://com.android.contacts/data/phones"


def ask(served: ServedPhone, *argv: str) -> str:
    result = run(served, shlex.join(argv))
    assert result.exit == 0, (argv, result)
    return result.stdout.decode()


def query(served: ServedPhone, uri: str, *options: str) -> list[str]:
    lines = ask(served, "content", "query", "--uri", uri, *options).splitlines()
    return [] if lines == ["No result found."] else lines


def shown(served: ServedPhone) -> str:
    return "\n".join(f"{node.text} {node.label}" for node in served.tree())


def test_sms_rows_are_the_messages_of_the_app(served: ServedPhone) -> None:
    chats = app_of(served.state, MessagesState).conversations
    assert len(query(served, SMS)) == sum(len(chat.messages) for chat in chats)
    chat = next(item for item in chats if item.messages[-1].mine)
    rows = query(served, SMS + "/sent", "--projection", "address:body", "--where", f"address='{chat.phone}'")
    assert f"Row: 0 address={chat.phone}, body={chat.messages[-1].text}" in rows


def test_an_inserted_message_shows_in_the_app(served: ServedPhone) -> None:
    text = "Lunch; at 12? 'yes' $(no)"
    values = ["--bind", "address:s:+15551234567", "--bind", f"body:s:{text}"]
    ask(served, "content", "insert", "--uri", SMS + "/inbox", *values)
    ask(served, "am", "start", "-a", "android.intent.action.MAIN", "-n", f"{MESSAGES}/.ui.ConversationListActivity")
    assert text in shown(served)
    found = query(served, SMS, "--where", "body LIKE '%Lunch%'", "--projection", "read:type:body")
    assert found == [f"Row: 0 read=0, type=1, body={text}"]
    ask(served, "content", "update", "--uri", SMS, "--bind", "read:i:1", "--where", "body LIKE '%Lunch%'")
    assert query(served, SMS, "--where", "body LIKE '%Lunch%'", "--projection", "read") == ["Row: 0 read=1"]


def test_an_inserted_message_of_a_contact_carries_the_name(served: ServedPhone) -> None:
    person = app_of(served.state, ContactsState).people[0]
    ask(served, "content", "insert", "--uri", SMS, "--bind", f"address:s:{person.phone}", "--bind", "body:s:hello")
    chat = next(c for c in app_of(served.state, MessagesState).conversations if c.messages[-1].text == "hello")
    assert chat.name == person.name


def test_deleting_all_messages_empties_the_app(served: ServedPhone) -> None:
    ask(served, "content", "delete", "--uri", SMS)
    assert query(served, SMS) == []
    served.launch(MESSAGES)
    assert "No conversations" in shown(served)


def test_contacts_rows_are_the_people_of_the_app(served: ServedPhone) -> None:
    people = app_of(served.state, ContactsState).people
    rows = query(served, PHONES, "--projection", "display_name:number", "--sort", "display_name ASC")
    assert rows == [
        f"Row: {index} display_name={person.name}, number={person.phone}"
        for index, person in enumerate(sorted(people, key=lambda person: person.name))
    ]


def test_a_contact_inserted_the_usual_way_shows_in_the_app(served: ServedPhone) -> None:
    raw, data = "content://com.android.contacts/raw_contacts", "content://com.android.contacts/data"
    ask(served, "content", "insert", "--uri", raw, "--bind", "account_type:n:", "--bind", "account_name:n:")
    row = query(served, raw, "--projection", "_id", "--sort", "_id DESC")[0].partition("_id=")[2]
    for kind, value in (("name", "Aaron Zed"), ("phone_v2", "555-9876")):
        mime = f"mimetype:s:vnd.android.cursor.item/{kind}"
        ask(served, "content", "insert", "--uri", data, "--bind", f"raw_contact_id:i:{row}", "--bind", mime,
            "--bind", f"data1:s:{value}")  # fmt: skip
    served.launch(CONTACTS)
    assert "Aaron Zed" in shown(served)
    ask(
        served,
        "am",
        "start",
        "-a",
        "android.intent.action.VIEW",
        "-d",
        f"content://com.android.contacts/contacts/{int(row) - 1}",
    )
    ask(served, "content", "delete", "--uri", f"{raw}/{row}")
    assert app_of(served.state, ContactsState).named("Aaron Zed") is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["query", "--uri", "content://nothing"], "Could not find provider: nothing"),
        (["query", "--uri", SMS, "--projection", "nope"], "Invalid column nope"),
        (["query", "--uri", SMS, "--where", "nope = 1"], "no such column: nope"),
        (["query", "--uri", SMS, "--where", "1) UNION SELECT (1"], "SQLiteException"),
        (["insert", "--uri", SMS, "--bind", "body:s:x"], "needs an address"),
        (["insert", "--uri", SMS, "--bind", "address:q:x"], "got type 'q'"),
        (
            ["insert", "--uri", "content://com.android.contacts/data", "--bind", "raw_contact_id:i:999"],
            "no raw contact",
        ),
        (["query"], "--uri"),
        (["frob", "--uri", SMS], "Unsupported operation"),
    ],
)
def test_what_a_provider_cannot_do_is_said(served: ServedPhone, argv: list[str], message: str) -> None:
    before = served.state
    result = run(served, shlex.join(["content", *argv]))
    assert result.exit == 1
    assert message in result.stderr.decode()
    assert served.state == before


def test_a_condition_that_never_ends_is_stopped(served: ServedPhone) -> None:
    endless = "1 = (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c)"
    result = run(served, shlex.join(["content", "query", "--uri", SMS, "--where", endless]))
    assert result.exit == 1
    assert b"interrupted" in result.stderr


def test_settings_are_a_provider_too(served: ServedPhone) -> None:
    uri = "content://settings/system"
    ask(served, "content", "insert", "--uri", uri, "--bind", "name:s:screen_brightness", "--bind", "value:s:99")
    assert ask(served, "settings", "get", "system", "screen_brightness") == "99\n"
    assert query(served, uri, "--where", "name='screen_brightness'", "--projection", "value") == ["Row: 0 value=99"]


@pytest.mark.parametrize(
    ("line", "package", "text"),
    [
        ("-a android.settings.WIFI_SETTINGS", "com.android.settings", "Internet"),
        ("-a android.settings.BLUETOOTH_SETTINGS", "com.android.settings", "Connected devices"),
        ("-a android.intent.action.VIEW -d https://shoply.com/cart", "com.android.browser", "cart"),
        ("-a android.intent.action.WEB_SEARCH --es query 'apple pie'", "com.android.browser", "apple pie"),
        ("-a android.intent.action.SENDTO -d sms:5551212 --es sms_body 'on my way'", MESSAGES, "on my way"),
        ("-a android.intent.action.INSERT -t vnd.android.cursor.dir/contact -e name 'Bo Ek'", CONTACTS, "Ek"),
        (f"-n {CLOCK}/com.android.deskclock.DeskClock", CLOCK, "Alarm"),
        ("-c android.intent.category.HOME -a android.intent.action.MAIN", LAUNCHER, ""),
    ],
)
def test_an_intent_opens_its_page(served: ServedPhone, line: str, package: str, text: str) -> None:
    written = ask(served, "am", "start", "-W", *shlex.split(line))
    assert written.startswith("Starting: Intent { ")
    assert "Status: ok" in written
    assert served.package() == package
    assert text.lower() in shown(served).lower()


@pytest.mark.parametrize(
    "line", ["-n com.example/.Main", "-a com.example.NOTHING", "-n com.android.settings/.Nope", "-a android.settings.X"]
)
def test_an_intent_that_nobody_answers_opens_nothing(served: ServedPhone, line: str) -> None:
    before = served.state
    result = run(served, f"am start {line}")
    assert result.exit == 1
    assert b"Error" in result.stderr
    assert served.state == before
