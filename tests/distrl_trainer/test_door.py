"""The door: each way in which a trajectory can be wrong, the reason it is given, and that nothing big is allocated."""

from __future__ import annotations

import logging
import struct
import tracemalloc
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from runtime_fakes import SCREEN, TEMPLATES, FakePhones, FakePolicy, colour_frame, episode, fake_config

from android_env_gym.actions import Tap
from distrl_trainer.algorithm import DistRL
from distrl_trainer.door import MAX_TEXT, MAX_TOKENS, Rules, refusal
from distrl_trainer.observations import decode_frame, encode_action, encode_frame
from distrl_trainer.png import SIGNATURE, png_bytes, png_problem, png_size
from distrl_trainer.trajectory import encode
from distrl_trainer.trajectory_file import file_name

RULES = Rules(
    templates=frozenset(TEMPLATES),
    split="train",
    screen=SCREEN,
    max_steps=6,
    newest_version=3,
    check_tokens=FakePolicy().check_tokens,
)
GOOD = episode([0, 1, 2], name="hostile")


def with_step(**fields):
    return msgspec.structs.replace(GOOD, steps=(GOOD.steps[0], msgspec.structs.replace(GOOD.steps[1], **fields)))


def with_frame(data: bytes):
    return msgspec.structs.replace(GOOD, frames=(GOOD.frames[0], data, GOOD.frames[2]))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width=SCREEN[1], height=SCREEN[0], depth=8, colour=2, interlace=0, rows=None, extra=b"", last=b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    rows = bytes(SCREEN[0] * (1 + 3 * SCREEN[1])) if rows is None else rows
    end = chunk(b"IEND", b"")
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + end + last


RAW = SCREEN[0] * (1 + 3 * SCREEN[1])
NAN, INF = float("nan"), float("inf")
FRAME = GOOD.frames[1]

WRONG = {
    "path as id": (msgspec.structs.replace(GOOD, id="../../etc/x"), "its id '../../etc/x' is not"),
    "control characters in id": (msgspec.structs.replace(GOOD, id="a\n\x1b[2J"), r"its id 'a\\n\\x1b\[2J' is not"),
    "empty id": (msgspec.structs.replace(GOOD, id=""), "its id '' is not"),
    "long id": (msgspec.structs.replace(GOOD, id="x" * 10**6), "is not made of at most 100"),
    "unknown template": (msgspec.structs.replace(GOOD, template="other"), "template 'other' is none of the run's 2"),
    "other split": (msgspec.structs.replace(GOOD, split="test"), "split is 'test'; the run learns from 'train' alone"),
    "no split": (msgspec.structs.replace(GOOD, split=""), "split is ''"),
    "endless": (msgspec.structs.replace(GOOD, seconds=INF), "took inf seconds"),
    "ended before it began": (msgspec.structs.replace(GOOD, seconds=-1.0), "took -1.0 seconds"),
    "long template": (msgspec.structs.replace(GOOD, template="t" * 501), "template has 501 characters"),
    "long instruction": (msgspec.structs.replace(GOOD, instruction="i" * (MAX_TEXT + 1)), "instruction has"),
    "long reason": (msgspec.structs.replace(GOOD, verdict_reason="i" * 10**6), "verdict_reason has"),
    "a frame short": (msgspec.structs.replace(GOOD, frames=GOOD.frames[:2]), "2 frames for 2 steps"),
    "a frame over": (msgspec.structs.replace(GOOD, frames=GOOD.frames * 2), "6 frames for 2 steps"),
    "no frames": (msgspec.structs.replace(GOOD, frames=()), "0 frames for 2 steps"),
    "too long": (episode([0] * 8, name="a"), "7 steps; an episode has at most 6"),
    "no tokens": (with_step(token_ids=(), logprobs=()), "step 1: 0 tokens"),
    "too many tokens": (with_step(token_ids=(1,) * 5000, logprobs=(-1.0,) * 5000), f"5000 tokens; 1 to {MAX_TOKENS}"),
    "log-probs missing": (with_step(logprobs=()), "0 log-probs for 1 tokens"),
    "log-probs over": (with_step(logprobs=(-1.0, -1.0)), "2 log-probs for 1 tokens"),
    "log-prob NaN": (with_step(logprobs=(NAN,)), "a log-prob is not finite"),
    "log-prob -inf": (with_step(logprobs=(-INF,)), "a log-prob is not finite"),
    "log-prob above 0": (with_step(logprobs=(0.5,)), "a log-prob is not finite or exceeds 0"),
    "unknown token": (with_step(token_ids=(6,)), r"step 1: got the tokens \[6\]"),
    "negative token": (with_step(token_ids=(-1,)), r"step 1: got the tokens \[-1\]"),
    "value NaN": (with_step(value=NAN), "its value is nan"),
    "task reward NaN": (with_step(reward_task=NAN), "its task reward is nan"),
    "task reward 2": (with_step(reward_task=2.0), "its task reward is 2.0; allowed are 0 to 1"),
    "task reward -1": (with_step(reward_task=-1.0), "its task reward is -1.0"),
    "shaping above 0": (with_step(reward_shaping=0.1), "its shaping reward is 0.1"),
    "shaping below its cap": (with_step(reward_shaping=-5.0), "its shaping reward is -5.0; allowed are -1.2 to 0"),
    "shaping NaN": (with_step(reward_shaping=NAN), "its shaping reward is nan"),
    "version of the future": (with_step(version=4), "its version is 4; published are 0 to 3"),
    "version below 0": (with_step(version=-1), "its version is -1"),
    "long text": (with_step(text="x" * (MAX_TEXT + 1)), "text, action or reason is longer"),
    "long action": (with_step(action=b"x" * (MAX_TEXT + 1)), "text, action or reason is longer"),
    "no action": (with_step(action=b""), "its action cannot be read"),
    "unknown action": (with_step(action=msgspec.msgpack.encode({"type": "format_disk"})), "its action cannot be read"),
    "action without place": (with_step(action=encode_action(Tap(NAN, 0.5))), "a number that is not finite"),
    "empty frame": (with_frame(b""), "frame 1 is no PNG"),
    "text as frame": (with_frame(b"<svg/>" * 10), "frame 1 is no PNG"),
    "JPEG": (with_frame(b"\xff\xd8\xff\xe0" + b"\0" * 40), "frame 1 is no PNG"),
    "huge header": (with_frame(png(60_000, 60_000)), "a picture of 60000x60000, not 6x8"),
    "other size": (with_frame(png(8, 6)), "a picture of 8x6, not 6x8"),
    "no size": (with_frame(png(0, 0)), "a picture of 0x0"),
    "16 bits": (with_frame(png(depth=16)), "bit depth 16"),
    "alpha": (with_frame(png(colour=6)), "colour type 6"),
    "interlaced": (with_frame(png(interlace=1)), "interlace 1"),
    "bomb": (with_frame(png(rows=bytes(60 * RAW))), f"pixels that inflate to more than {RAW} bytes"),
    "rows missing": (with_frame(png(rows=bytes(RAW - 1))), f"pixels of {RAW - 1} bytes instead of {RAW}"),
    "unknown filter": (with_frame(png(rows=b"\x09" * RAW)), "an unknown row filter"),
    "foreign chunk": (with_frame(png(extra=chunk(b"zTXt", b"x"))), "an unexpected chunk b'zTXt'"),
    "two headers": (with_frame(png(extra=chunk(b"IHDR", b"x" * 13))), "an unexpected chunk b'IHDR'"),
    "bytes after the end": (with_frame(png(last=b"x")), "bytes after its end"),
    "cut off": (with_frame(FRAME[:-20]), "cut off"),
    "one bit": (with_frame(FRAME[:50] + bytes([FRAME[50] ^ 1]) + FRAME[51:]), "does not match its checksum"),
    "big": (with_frame(FRAME + bytes(10_000)), "more than the"),
}


def test_a_sound_trajectory_may_enter():
    assert refusal(GOOD, RULES) == ""
    noise = np.random.default_rng(0).integers(0, 256, (*SCREEN, 3), dtype=np.uint8)
    assert refusal(with_frame(encode_frame(noise)), RULES) == ""


def test_a_failed_one_is_only_counted_so_its_task_may_be_unknown():
    failed = msgspec.structs.replace(GOOD, reward_valid=False, template="", split="", steps=(), frames=GOOD.frames[:1])
    assert refusal(failed, RULES) == ""
    assert "no PNG" in refusal(msgspec.structs.replace(failed, frames=(b"",)), RULES)


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_one_is_refused_with_its_reason(name: str):
    trajectory, reason = WRONG[name]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(refusal(trajectory, RULES))


def test_a_run_meets_all_of_them_and_goes_on(tmp_path: Path, caplog):
    """Every hostile file lies in the inbox of a run at once: each costs one line, and the run learns as it would."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for number, (trajectory, _) in enumerate(WRONG.values()):
        data = encode(trajectory)
        good_name = file_name(number, "hostile", data)
        (inbox / good_name).write_bytes(data)
    model = DistRL(FakePolicy(), FakePhones(), config=fake_config(), folder=tmp_path)
    with caplog.at_level(logging.WARNING):
        model.learn(200)
    refused = [record.getMessage() for record in caplog.records if "refused trajectory file" in record.getMessage()]
    assert len(refused) == len(WRONG) and all(line.isprintable() and len(line) < 1000 for line in refused)
    assert len(list((tmp_path / "refused").glob("*.reason"))) == len(refused)
    assert model.books.counters.updates > 0 and not list(inbox.iterdir())


def test_nothing_is_allocated_that_a_header_claims():
    bombs = [png(60_000, 60_000), png(rows=bytes(10**8)), png(2**31 - 1, 2**31 - 1)]
    for data in bombs:
        tracemalloc.start()
        assert png_problem(data, SCREEN)
        with pytest.raises(ValueError, match="stored frame"):
            decode_frame(data if png_size(data) != SCREEN else data[:60])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


def test_what_passes_decodes_and_what_decodes_to_a_frame_passes():
    """Random damage: whenever the check is content, so is the decoder, with the size that was asked for."""
    generator = np.random.default_rng(0)
    data = encode_frame(generator.integers(0, 256, (*SCREEN, 3), dtype=np.uint8))
    passed = 0
    for _ in range(2000):
        damaged = bytearray(data)
        place = int(generator.integers(len(data)))
        damaged[place] = int(generator.integers(256))
        if not png_problem(bytes(damaged), SCREEN):
            passed += 1
            assert decode_frame(bytes(damaged)).shape == (*SCREEN, 3)
    assert passed < 50  # those where the byte stayed the same


@pytest.mark.parametrize("screen", [(8, 6), (448, 224), (1200, 540)])
def test_a_frame_of_noise_is_within_the_bound(screen: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 256, (*screen, 3), dtype=np.uint8)
    data = encode_frame(noise)
    assert len(data) <= png_bytes(screen) and png_problem(data, screen) == ""
    assert png_problem(encode_frame(colour_frame(1)), SCREEN) == ""
