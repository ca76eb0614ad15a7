"""The uiautomator2 server's HTTP and JSON-RPC: what it answers, byte for byte, to good and to broken requests."""

from __future__ import annotations

import http.client
import inspect
import json
import re
import socket
import threading

import pytest
import uiautomator2
from hypothesis import given, settings
from hypothesis import strategies as st
from uia2_client import Setup, open_connection
from uiautomator2.exceptions import RPCUnknownError, UiObjectNotFoundError

from android_env_gym.phone.adbd.ime import receivers
from android_env_gym.phone.adbd.rpc import answer, overload
from android_env_gym.phone.adbd.uia2_device import DeviceMethods
from android_env_gym.phone.adbd.uia2_objects import ObjectMethods

SHARED = Setup()
METHODS = sorted({*DeviceMethods(SHARED.served).methods(), *ObjectMethods(SHARED.served).methods()})


@pytest.fixture
def phone() -> Setup:
    return Setup()


class Connection(http.client.HTTPConnection):
    """One HTTP connection that stays open over several requests."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__("localhost")
        self.sock = end

    def connect(self) -> None:
        raise AssertionError("the server closed a connection that the client wanted to keep")


def test_ping_and_many_calls_share_one_connection(phone: Setup) -> None:
    end, thread = open_connection(phone.server)
    connection = Connection(end)
    for number in range(3):
        connection.request("GET", "/ping")
        reply = connection.getresponse()
        assert (reply.status, reply.read()) == (200, b"pong")
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": "deviceInfo", "params": {}})
        connection.request("POST", "/jsonrpc/0", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        content = reply.read()
        assert int(reply.headers["Content-Length"]) == len(content)
        assert json.loads(content)["id"] == number
        assert json.loads(content)["result"]["displayWidth"] == 540
    connection.close()
    thread.join(10)
    assert not thread.is_alive()


def test_connection_close_is_honoured(phone: Setup) -> None:
    end, thread = open_connection(phone.server)
    end.sendall(b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n")
    thread.join(10)
    assert not thread.is_alive()
    assert end.recv(4096).endswith(b"Connection: close\r\n\r\npong")
    end.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /jsonrpc/0 HTTP/1.1\r\nConnection: close\r\n\r\n", b"500"),
        (b"POST /jsonrpc/0 HTTP/1.0\r\nContent-Length: 0\r\n\r\n", b"500"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /jsonrpc/0 HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"413"),
        (b"POST /jsonrpc/0 HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    ],
)
def test_broken_requests_get_a_status_and_no_hang(phone: Setup, request_bytes: bytes, status: bytes) -> None:
    end, thread = open_connection(phone.server)
    end.sendall(request_bytes)
    end.shutdown(socket.SHUT_WR)
    thread.join(10)
    assert not thread.is_alive()
    assert end.recv(4096).split()[1] == status
    end.close()


@pytest.mark.parametrize(
    "part", [b"", b"POST /jsonrpc/0 HT", b"POST /jsonrpc/0 HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"]
)
def test_a_client_that_leaves_in_the_middle_ends_the_thread(phone: Setup, part: bytes) -> None:
    end, thread = open_connection(phone.server)
    end.sendall(part)
    end.close()
    thread.join(10)
    assert not thread.is_alive()


def _call(phone: Setup, body: object) -> dict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return json.loads(phone.server.respond("POST", "/jsonrpc/0", raw)[2])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b'{"method": "setClipboard", "params": [null, "\\ud800"]}', -32700),
        ([], -32600),
        ({"params": []}, -32600),
        ({"method": 3}, -32600),
        ({"method": "nonsense"}, -32601),
        ({"method": "click", "params": [1]}, -32602),
        ({"method": "click", "params": [None, 2]}, -32602),
        ({"method": "click", "params": [True, 2]}, -32602),
        ({"method": "click", "params": [1e300, 2]}, -32602),
        ({"method": "click", "params": {"x": 1, "y": 2}}, -32602),
        ({"method": "exist", "params": [{"mask": 1, "txt": "a"}]}, -32602),
        ({"method": "exist", "params": [{"mask": 4, "textMatches": "("}]}, -32602),
        ({"method": "exist", "params": [{"mask": 0x1000, "clickable": "yes"}]}, -32602),
        ({"method": "gesture", "params": [{"mask": 0}, {"x": 1}, {}, {}, {}, 5]}, -32602),
    ],
)
def test_broken_calls_get_json_rpc_errors_and_change_nothing(phone: Setup, body: object, code: int) -> None:
    before = phone.served.state
    assert _call(phone, body)["error"]["code"] == code
    assert phone.served.state is before


NAMED = """deviceInfo takeScreenshot dumpWindowHierarchy click swipe swipePoints drag injectInputEvent pressKey
    pressKeyCode exist count objInfo objInfoOfAllInstances waitForExists waitUntilGone getText setText clearTextField
    clearInputText setClipboard getClipboard pasteClipboard openNotification openQuickSettings wakeUp sleep
    setOrientation freezeRotation makeToast getLastToast clearLastToast dragTo gesture pinchIn pinchOut flingForward
    flingBackward flingToBeginning flingToEnd scrollForward scrollBackward scrollToBeginning scrollToEnd scrollTo
    childByText childByDescription childByInstance getLastTraversedText clearLastTraversedText"""


def test_every_method_the_client_can_call_is_there() -> None:
    assert set(NAMED.split()) <= set(METHODS)
    sources = [inspect.getsource(module) for module in (uiautomator2, uiautomator2._selector, uiautomator2.base)]
    called = {name for source in sources for name in re.findall(r"jsonrpc\.(\w+)\(", source)}
    assert len(called) > 40
    assert called - {"getParent"} <= set(METHODS)  # getParent is in a comment; no server has it


def test_errors_are_recognised_by_the_client(phone: Setup) -> None:
    with pytest.raises(UiObjectNotFoundError) as caught:
        phone.d.jsonrpc.objInfo({"mask": 0x1, "text": "nowhere"})
    assert caught.value.args[0] == -32001
    assert caught.value.args[1] == "androidx.test.uiautomator.UiObjectNotFoundException"
    with pytest.raises(UiObjectNotFoundError):
        phone.d.jsonrpc.getText("object-99")
    assert phone.d.jsonrpc.exist("object-99") is False
    with pytest.raises(RPCUnknownError, match=r"-32601 method not found"):
        phone.d.jsonrpc.nonsense()


def test_overloads_are_chosen_by_the_parameters() -> None:
    methods = {
        "f": (overload("int", lambda x: ["int", x]), overload("text", lambda x: ["text", x]), overload("", lambda: []))
    }

    def call(*params: object) -> object:
        return json.loads(answer(json.dumps({"id": 1, "method": "f", "params": params}).encode(), methods))["result"]

    assert call(3.9) == ["int", 3]
    assert call("3") == ["text", "3"]
    assert call(None) == ["text", None]
    assert call() == []


def test_clients_at_the_same_time_do_not_mix_their_answers(phone: Setup) -> None:
    seen: list[str | None] = []

    def talk(word: str) -> None:
        for _ in range(10):
            seen.append(phone.d.jsonrpc.getText({"mask": 0x1, "text": word}))

    phone.served.launch("com.android.settings")
    threads = [threading.Thread(target=talk, args=(word,)) for word in ("Apps", "Sound & vibration")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(filter(None, seen)) == ["Apps"] * 10 + ["Sound & vibration"] * 10


def test_the_server_registers_the_broadcast_keyboards(phone: Setup) -> None:
    assert set(receivers(phone.served)) <= set(phone.served.receivers)
    assert "ADB_KEYBOARD_INPUT_TEXT" in phone.served.receivers


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.integers(-2, 700),
)
FIELDS = st.sampled_from(
    ["mask", "text", "textMatches", "className", "index", "instance", "clickable", "x", "y", "odd"]
)
PARAMETERS = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=4),
    st.dictionaries(FIELDS, SCALARS, max_size=4),
    st.fixed_dictionaries({"mask": st.integers(0, 0x1FFFFFF)}),
    st.fixed_dictionaries({"x": st.integers(-5, 600), "y": st.integers(-5, 1300)}),
)


@given(st.sampled_from(METHODS), st.lists(PARAMETERS, max_size=6))
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_there_is_an_answer(method: str, params: list[object]) -> None:
    reply = _call(SHARED, {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
    assert reply["id"] == 7
    assert ("result" in reply) != ("error" in reply)
    if "error" in reply:
        assert reply["error"]["code"] in (-32001, -32602)
