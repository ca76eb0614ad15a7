"""A judge that asks a vision-language model behind any OpenAI-compatible endpoint.

Invariant: only a reply that says plainly "success" or "failure" is a verdict; everything else (an API error,
a timeout, prose, an answer that is no chat completion) is `valid=False` with the reason, and counted. Called by
`AndroidTaskEnv`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import threading

import cv2
import msgspec
import numpy as np
import openai
from numpy.typing import NDArray
from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam

from android_env_gym.judges.base import Evidence, Verdict

SYSTEM_PROMPT = (
    "You judge whether an agent fulfilled a task on an Android phone. You see the task, the agent's actions, the last "
    "screenshots (oldest first) and, if it gave one, its answer. Judge by what the screenshots show, not by what was "
    'intended. Reply with one JSON object and nothing else: {"success": true or false, "reason": "one sentence"}'
)
MAX_REASON = 300
_SHOWN = 80
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_STATUS = re.compile(r"^\s*status:\s*\"?(success|failure)\"?\.?\s*$", re.IGNORECASE | re.MULTILINE)


class JudgeUsage(msgspec.Struct, frozen=True):
    """What judging has cost so far: API calls, calls without a usable verdict, tokens."""

    calls: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _Tokens(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0


class _Completion(msgspec.Struct, frozen=True):
    """What is read of a chat completion; the API's client checks none of it."""

    choices: list[_Choice]
    usage: _Tokens | None = None


class VlmJudge:
    """Asks `model` at `base_url`; safe to call from several threads.

    The API key is read from `OPENAI_API_KEY` (local servers usually want none) and never shown.

    Args:
        model: Model name as the endpoint knows it.
        base_url: E.g. "http://127.0.0.1:8000/v1".
        frames: How many of the last screenshots are sent.
        timeout: Seconds per attempt.
        retries: Further attempts of the client after a connection error, a timeout or a 5xx status.
    """

    needs_world = False

    def __init__(self, model: str, base_url: str, *, frames: int = 2, timeout: float = 60.0, retries: int = 2) -> None:
        if frames < 1:
            raise ValueError(f"frames: got {frames}, allowed is 1 or more")
        self.model = model
        self.base_url = base_url
        self._frames = frames
        key = os.environ.get("OPENAI_API_KEY") or "none"
        self._client = openai.OpenAI(api_key=key, base_url=base_url, timeout=timeout, max_retries=retries)
        self._usage = JudgeUsage()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"VlmJudge({self.model!r}, {self.base_url!r})"

    @property
    def usage(self) -> JudgeUsage:
        """What judging has cost so far."""
        return self._usage

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the model's verdict, or an invalid one with the reason."""
        try:
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.model, messages=_messages(evidence, self._frames), temperature=0.0
            )
        except openai.OpenAIError as error:
            self._count(1, 0, 0)
            return _unknown(f"the judge's endpoint {self.base_url} failed: {type(error).__name__}: {error}")
        try:
            reply = msgspec.json.decode(answer.content, type=_Completion)
        except (ValueError, RecursionError) as error:  # also msgspec's errors
            self._count(1, 0, 0)
            return _unknown(f"{self.base_url} gave no chat completion: {_complaint(answer.content, error)}")
        text = (reply.choices[0].message.content or "") if reply.choices else ""
        verdict = parse_reply(text)
        tokens = reply.usage or _Tokens()
        self._count(0 if verdict.valid else 1, tokens.prompt_tokens or 0, tokens.completion_tokens or 0)
        return verdict

    def close(self) -> None:
        """Close the HTTP connections."""
        self._client.close()

    def _count(self, errors: int, prompt_tokens: int, completion_tokens: int) -> None:
        with self._lock:
            old = self._usage
            self._usage = JudgeUsage(
                calls=old.calls + 1,
                errors=old.errors + errors,
                prompt_tokens=old.prompt_tokens + prompt_tokens,
                completion_tokens=old.completion_tokens + completion_tokens,
            )


def parse_reply(text: str) -> Verdict:
    """Return what `text` says: a JSON object with a boolean `success`, or a line "Status: success" / "Status: failure".

    Anything else, also two statuses that contradict each other, is an invalid verdict.
    """
    fenced = _FENCE.search(text)
    try:
        reply = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        reply = None
    if isinstance(reply, dict) and isinstance(reply.get("success"), bool):
        return _verdict(reply["success"], str(reply.get("reason", "")))
    statuses = {status.lower() for status in _STATUS.findall(text)}
    if len(statuses) == 1:
        return _verdict(statuses == {"success"}, text.strip())
    return _unknown(f"the judge's reply is neither JSON with a boolean success nor a status line: {text.strip()!r}")


def _complaint(answer: bytes, error: Exception) -> str:
    """Return what is wrong with an answer, and what to do where it comes from something else than the API."""
    hint = "" if answer.lstrip()[:1] == b"{" else "; the URL of an API mostly ends in /v1"
    return f"{error}; it began with {answer[:_SHOWN].decode(errors='replace').strip()!r}{hint}"


def _verdict(success: bool, reason: str) -> Verdict:
    return Verdict(success, float(success), reason[:MAX_REASON])


def _unknown(reason: str) -> Verdict:
    return Verdict(False, reason=reason[:MAX_REASON], valid=False)


def _messages(evidence: Evidence, frames: int) -> list[ChatCompletionMessageParam]:
    actions = "\n".join(f"{number}. {action}" for number, action in enumerate(evidence.actions, 1)) or "none"
    text = f"Task: {evidence.task.instruction}\nActions:\n{actions}"
    if evidence.finish is not None:
        text += (
            f"\nThe agent declared the task {evidence.finish.status}; its answer: {evidence.finish.answer or 'none'}"
        )
    content: list[ChatCompletionContentPartParam] = [{"type": "text", "text": text}]
    for frame in evidence.frames[-frames:]:
        content.append({"type": "image_url", "image_url": {"url": _data_url(frame)}})
    return [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": content}]


def _data_url(frame: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"a frame of shape {frame.shape} cannot be encoded as PNG")
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
