"""The judge by a vision-language model, against a real HTTP server on loopback."""

import base64
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from gym_fakes import STRAY, make_env

from android_env_gym.actions import Finish, Tap
from android_env_gym.judges.base import Evidence
from android_env_gym.judges.make import make_judge
from android_env_gym.judges.vlm import VlmJudge, parse_reply
from android_env_gym.tasks.base import Task

KEY = "sk-secret-of-the-test"
RED = np.zeros((20, 10, 3), np.uint8)
RED[..., 0] = 255


class Server(ThreadingHTTPServer):
    """Answers chat completions with `replies` in order: a text, a status code, "hang", or bytes as they are."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = deque()
        self.requests = []
        self.ended = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        reply = self.server.replies.popleft()
        if reply == "hang":
            self.server.ended.wait()
            return
        if isinstance(reply, bytes):
            self.send(200, reply)
            return
        if isinstance(reply, int):
            self.answer(reply, {"error": {"message": "out of order"}})
            return
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
        kind = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        self.answer(200, kind | {"choices": [message], "usage": usage})

    def answer(self, status, value):
        self.send(status, json.dumps(value).encode())

    def send(self, status, data):
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if data[:1] == b"<" else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def evidence(finish=None):
    actions = (Tap(0.5, 0.5), finish) if finish else (Tap(0.5, 0.5),)
    frames = (*(np.full((20, 10, 3), 9 * number, np.uint8) for number in range(len(actions))), RED)
    return Evidence(Task("t", 0, "test", "Open the Clock"), frames, actions, finish)


def test_success_and_failure(server):
    judge = VlmJudge("m", server.url)
    server.replies.extend(['{"success": true, "reason": "the clock is open"}', '```json\n{"success": false}\n```'])
    verdict = judge.judge(evidence(Finish("complete", "it is 7 pm")))
    assert (verdict.success, verdict.score, verdict.valid, verdict.reason) == (True, 1.0, True, "the clock is open")
    verdict = judge.judge(evidence())
    assert (verdict.success, verdict.score, verdict.valid) == (False, 0.0, True)
    usage = judge.usage
    assert (usage.calls, usage.errors, usage.prompt_tokens, usage.completion_tokens) == (2, 0, 200, 14)
    judge.close()


def test_what_is_sent(server):
    judge = VlmJudge("m", server.url, frames=2)
    server.replies.append('{"success": true}')
    judge.judge(evidence(Finish("complete", "it is 7 pm")))
    ((path, authorization, body),) = server.requests
    assert path == "/v1/chat/completions" and body["model"] == "m"
    assert authorization == f"Bearer {KEY}" and KEY not in repr(judge)
    text, *images = body["messages"][1]["content"]
    assert "Open the Clock" in text["text"] and "it is 7 pm" in text["text"] and "Tap(x=0.5" in text["text"]
    assert len(images) == 2
    kind, data = images[-1]["image_url"]["url"].split(",")
    assert kind == "data:image/png;base64"
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(picture, RED)


def test_an_error_is_tried_again_then_invalid(server):
    judge = VlmJudge("m", server.url, retries=1)
    server.replies.extend([500, '{"success": true}', 500, 503, 401])
    assert judge.judge(evidence()).success
    for said in ("InternalServerError", "AuthenticationError"):
        verdict = judge.judge(evidence())
        assert not verdict.valid and not verdict.success and said in verdict.reason and KEY not in verdict.reason
    assert (judge.usage.calls, judge.usage.errors) == (3, 2)
    assert len(server.requests) == 5


def test_a_hanging_or_absent_endpoint_is_invalid(server):
    server.replies.append("hang")
    verdict = VlmJudge("m", server.url, timeout=0.3, retries=0).judge(evidence())
    assert not verdict.valid and "APITimeoutError" in verdict.reason
    closed = VlmJudge("m", "http://127.0.0.1:9/v1", timeout=2, retries=0).judge(evidence())
    assert not closed.valid and "APIConnectionError" in closed.reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html>Welcome</html>", "it began with '<html>Welcome</html>'; the URL of an API mostly ends in /v1"),
        (b'"hello"', "/v1"),
        (b"", "/v1"),
        (b"\xff", "/v1"),
        (b'{"choices": [', "Input data was truncated"),
        (b"{}", "`choices`"),
        (b'{"choices": null}', "$.choices"),
        (b'{"choices": [{"index": 0}]}', "`message`"),
        (b'{"choices": [{"message": null}]}', "$.choices[0].message"),
        (b'{"choices": [{"message": {"content": 7}}]}', "$.choices[0].message.content"),
        (b'{"choices": [], "usage": "much"}', "$.usage"),
        (b'{"other": ' + b"[" * 100_000, "recursion"),
        (b'{"choices": []}', "neither JSON"),
        (b'{"choices": [{"message": {"content": null}}]}', "neither JSON"),
    ],
)
def test_an_answer_that_the_api_does_not_promise_is_invalid(server, answer, said):
    judge = VlmJudge("m", server.url, retries=0)
    server.replies.append(answer)
    verdict = judge.judge(evidence())
    assert not verdict.valid and said in verdict.reason and len(verdict.reason) <= 300
    assert (judge.usage.calls, judge.usage.errors) == (1, 1)


def test_tokens_that_an_endpoint_does_not_count_are_none(server):
    judge = VlmJudge("m", server.url)
    content = b'{"choices": [{"message": {"content": "Status: success"}}], "usage": %s}'
    server.replies.extend([content % b"null", content % b'{"prompt_tokens": 5, "completion_tokens": null}'])
    assert judge.judge(evidence()).success and judge.judge(evidence()).success
    assert (judge.usage.prompt_tokens, judge.usage.completion_tokens) == (5, 0)


@pytest.mark.parametrize(
    ("text", "success"),
    [
        ('{"success": true}', True),
        (' {"success": false, "reason": "x"} ', False),
        ("Thoughts: it is open.\nStatus: success", True),
        ("STATUS: failure.", False),
        ('Status: "success"\nStatus: success', True),
    ],
)
def test_replies_that_are_verdicts(text, success):
    verdict = parse_reply(text)
    assert verdict.valid and verdict.success is success


@pytest.mark.parametrize(
    "text",
    [
        *("", "yes", "success", '{"success": "true"}', '{"success": 1}', "[true]", '{"success": tru', "[" * 10_000),
        *("Status: success\nStatus: failure", "I think Status: success is likely", '{"reason": "success"}'),
    ],
)
def test_anything_else_is_invalid(text):
    verdict = parse_reply(text)
    assert not verdict.valid and not verdict.success and len(verdict.reason) <= 300


def test_in_the_environment_garbage_is_a_judge_failure(server):
    server.replies.append("I cannot tell.")
    env = make_env(judge=f"vlm:m@{server.url}")
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(STRAY)
    assert (reward, terminated, truncated, info["failure"]["kind"]) == (0.0, False, True, "judge")
    assert "I cannot tell." in info["verdict"]["reason"]


def test_the_name_is_split_at_the_last_at_sign(server):
    judge = make_judge("vlm:org/model@v2@http://127.0.0.1:1/v1")
    assert isinstance(judge, VlmJudge)
    assert (judge.model, judge.base_url) == ("org/model@v2", "http://127.0.0.1:1/v1")
    with pytest.raises(ValueError, match="frames: got 0"):
        VlmJudge("m", server.url, frames=0)
