"""Fonts, text measuring and wrapping, icons and colours of the phone's UI kit."""

import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from android_env_gym.phone.ui import icons, text
from android_env_gym.phone.ui.theme import TEXT_STYLES, UnknownNameError, text_style, theme

SIZE = text.font_size(24)


def test_missing_font_is_an_error_not_another_font():
    with pytest.raises(FileNotFoundError, match=r"nope\.ttf"):
        text.load_face("/nope.ttf")


@pytest.mark.parametrize(
    "string", ["", " ", "a\nb", "\ud800x", "a\0b", "👨‍👩‍👧 ok", "日本", "שלום", "\U000f01c9", "x" * 3000, "\x1b\x7f"]
)
def test_any_text_is_measured_wrapped_and_drawn(string):
    image = np.zeros((60, 300, 3), np.uint8)
    lines = text.wrap(string, 400, SIZE, 120, 2)
    assert 1 <= len(lines) <= 2
    for line in lines:
        text.draw(image, line, 5, 40, (255, 255, 255), 400, SIZE)
        assert text.measure(line, 400, SIZE) >= 0


def test_wrapped_lines_fit_and_keep_all_words():
    rng = random.Random(3)
    for _ in range(50):
        words = ["".join(rng.choices("abcdefgh", k=rng.randint(1, 9))) for _ in range(rng.randint(1, 25))]
        lines = text.wrap(" ".join(words), 400, SIZE, 200, 0)
        assert all(text.measure(line, 400, SIZE) <= 200 for line in lines)
        assert " ".join(lines).split() == words


def test_too_many_lines_end_in_an_ellipsis_that_fits():
    lines = text.wrap("several words that do not fit into two lines of this width", 400, SIZE, 150, 2)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert text.measure(lines[-1], 400, SIZE) <= 150


def test_tail_shows_the_end():
    shown = text.window("a long text whose end is being typed", -1, 400, SIZE, 100)[1]
    assert "a long text whose end is being typed".endswith(shown)
    assert 0 < text.measure(shown, 400, SIZE) <= 100


def test_threads_draw_what_one_thread_draws():
    def draw(seed: int, sums: dict[int, int]) -> None:
        rng, total = random.Random(seed), 0
        for _ in range(200):
            image = np.zeros((40, 400, 3), np.uint8)
            string = "".join(rng.choices("abcdefghijk lmnop", k=20))
            text.draw(image, string, 2, 30, (255, 255, 255), rng.choice((400, 500)), rng.choice((15, 23)))
            total = total * 31 % 2**61 + int(image.sum())
        sums[seed] = total

    alone: dict[int, int] = {}
    together: dict[int, int] = {}
    for seed in range(3):
        draw(seed, alone)
    threads = [threading.Thread(target=draw, args=(seed, together)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone == together


def test_icons_by_either_spelling_and_unknown_ones_named():
    assert icons.glyph("account-plus") == icons.glyph("account_plus")
    assert icons.mask("wifi", 36).max() > 200
    with pytest.raises(KeyError, match="account_plus"):
        icons.glyph("acount_plus")


def test_themes_have_the_same_roles_and_readable_text():
    light, dark = theme(False), theme(True)
    assert theme(True) is dark
    for role in ("primary", "surface", "error", "secondary_container"):
        assert light.color(role) != dark.color(role)
        contrast = abs(sum(light.color(role)) - sum(light.color("on_" + role)))
        assert contrast > 200
    assert light.color("#010203") == (1, 2, 3)
    with pytest.raises(UnknownNameError, match="primary"):
        light.color("primry")
    with pytest.raises(UnknownNameError, match="title"):
        text_style("titel")
    assert all(style.line > style.size for style in TEXT_STYLES.values())


def test_an_older_opencv_in_the_place_of_ours_is_one_line_that_says_what_to_do():
    code = "import cv2; del cv2.FontFace; import gymnasium; gymnasium.make('android_env_gym:AndroidTask-v0')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith("android_env_gym.errors.WrongOpenCvError: OpenCV")
    assert "pip uninstall -y opencv-python" in line


@pytest.mark.parametrize(
    "command", ["android_env_gym list", "distrl_trainer.cli eval --policy random --episodes 1"], ids=["env", "trainer"]
)
def test_commands_explain_an_older_opencv_in_one_line(command):
    code = "import cv2, runpy, sys; del cv2.FontFace; del sys.argv[0]; runpy.run_module(sys.argv[0], None, '__main__')"
    words = [sys.executable, "-W", "ignore", "-c", code, *command.split()]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: OpenCV"), ended.stderr
    assert ended.stderr.count("\n") == 1
