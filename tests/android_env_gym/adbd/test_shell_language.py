"""The shell's language: quoting, lists, pipes, redirections, substitution; hostile text stays text."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from android_env_gym.phone.adbd.served import ServedPhone, UndrawableError
from android_env_gym.phone.adbd.shell import run
from android_env_gym.phone.phone import SimPhone
from android_env_gym.phone.state import Page

PHONE = ServedPhone(SimPhone(seed=1))
HOSTILE = st.text(
    st.one_of(st.sampled_from("'\"`$();|&<>\\\n\t *?[]{}#!~=%"), st.characters(exclude_categories=("Cs", "Cc"))),
    max_size=60,
)


def out(command: str, stdin: bytes = b"") -> str:
    return run(PHONE, command, stdin).stdout.decode()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo a   b", "a b\n"),
        ("echo 'a   b'", "a   b\n"),
        ("echo \"$HOME\" '$HOME' \\$HOME", "/ $HOME $HOME\n"),
        ('echo "a\\"b" a\\ b', 'a"b a b\n'),
        ("X=5; echo $X ${X}6 \"$X\" '$X'", "5 56 5 $X\n"),
        ("X='a  b'; echo $X \"$X\"", "a b a  b\n"),
        ("echo $(echo in $(echo deep))", "in deep\n"),
        ("echo `echo tick`", "tick\n"),
        ("false; echo $?", "1\n"),
        ("true && echo yes || echo no", "yes\n"),
        ("false && echo yes || echo no", "no\n"),
        ("! false && echo turned", "turned\n"),
        ("(cd /sdcard; pwd); pwd", "/sdcard\n/\n"),
        ("{ echo a; echo b; } | wc -l", "2\n"),
        ("echo one; # echo two", "one\n"),
        ("echo a#b", "a#b\n"),
        ("printf '%s\\n' b a | sort | head -n 1", "a\n"),
        ("nope 2>/dev/null; echo $?", "127\n"),
        ("nope 2>&1 | grep -c inaccessible", "1\n"),
        ("echo lost >/dev/null", ""),
        ("echo $UNSET '' | wc -c", "1\n"),
        ("sh -c 'echo inner $0'", "inner sh\n"),
        ("eval 'X=3; echo $X'", "3\n"),
        ("exit 3; echo never", ""),
        ("[ -d /sdcard ] && [ 2 -gt 1 ] && test a != b && echo holds", "holds\n"),
    ],
)
def test_a_line_does_what_sh_does(command: str, expected: str) -> None:
    assert out(command) == expected


def test_exit_status_is_that_of_the_last_command() -> None:
    assert run(PHONE, "exit 3; echo never").exit == 3
    assert run(PHONE, "false | true").exit == 0
    assert run(PHONE, "true; false").exit == 1
    unknown = run(PHONE, "frobnicate --now")
    assert unknown.exit == 127
    assert unknown.stderr == b"/system/bin/sh: frobnicate: inaccessible or not found\n"


@pytest.mark.parametrize(
    "command", ["echo 'a", 'echo "a', "echo $(a", "a &&", "( a", "a | | b", "echo `a", ";;", "a )"]
)
def test_bad_syntax_runs_nothing(command: str) -> None:
    result = run(PHONE, "echo before > /sdcard/ran.txt; " + command)
    assert result.exit == 1
    assert b"/system/bin/sh: " in result.stderr
    assert not PHONE.files.exists("/sdcard/ran.txt")


@pytest.mark.parametrize("command", ["if true; then echo x; fi", "for i in 1 2; do echo $i; done", "echo $((1+1))"])
def test_what_the_shell_lacks_is_refused_by_name(command: str) -> None:
    result = run(PHONE, command)
    assert result.exit == 1
    assert b"not supported" in result.stderr


def test_files_by_redirection_and_pattern() -> None:
    assert out(
        "mkdir -p /sdcard/p && cd /sdcard/p && echo 1 > a.txt && echo 2 >> a.txt && echo x > b.md; cat *.txt"
    ) == ("1\n2\n")
    assert out("ls /sdcard/p") == "a.txt\nb.md\n"
    assert out("echo '/sdcard/p/*' /sdcard/p/*.md /sdcard/p/*.none") == "/sdcard/p/* /sdcard/p/b.md /sdcard/p/*.none\n"
    assert out("wc -l < /sdcard/p/a.txt") == "2\n"
    refused = run(PHONE, "echo x > /system/x; echo $?")
    assert refused.stdout == b"1\n"
    assert b"can't create /system/x: Permission denied" in refused.stderr
    assert run(PHONE, "rm -r /sdcard/p; ls /sdcard/p").exit == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTILE, max_size=4))
def test_quoted_text_arrives_exactly_and_runs_nothing(words: list[str]) -> None:
    before = PHONE.files.list("/sdcard")
    result = run(PHONE, f"printf '%s\\n' {shlex.join(words)}" if words else "true")
    assert result.stdout.decode() == "".join(word + "\n" for word in words)
    assert result.stderr == b""
    assert PHONE.files.list("/sdcard") == before


@settings(max_examples=80, deadline=None)
@given(HOSTILE)
def test_any_line_ends_with_a_status(line: str) -> None:
    result = run(PHONE, line)
    assert 0 <= result.exit <= 255


@pytest.mark.parametrize(
    "command",
    [
        "printf '%5.2.3s' a",
        "find / -maxdepth x",
        "chmod 999 /sdcard",
        "exit \u00b2",
        "input keyevent \u00b2",
        "am start -f 0xzz",
        "cmd media_session volume --set \u00b2",
        "echo x >&\u00b2",
        "date '+%\u00b2%Q'",
        "content insert --uri content://sms --bind date:l:9999999999999999 --bind address:s:5",
        "content insert --uri content://sms --bind date:l:99999999999999999999 --bind address:s:5",
        "settings put system screen_brightness " + "9" * 400,
        "(" * 300,
        "echo " + "$(" * 200,
        "echo " + "$(echo " * 40 + ")" * 40,
        "sh -c " * 60 + "x",
    ],
)
def test_odd_requests_end_with_a_status_and_leave_the_phone_whole(command: str) -> None:
    result = run(PHONE, command)
    assert 0 <= result.exit <= 255
    PHONE.launch("com.google.android.apps.messaging")
    assert PHONE.frame().max() > 0


def test_a_page_that_cannot_be_drawn_is_undone() -> None:
    before = PHONE.state
    with pytest.raises(UndrawableError, match="undone"):
        PHONE.open(Page("settings", "app", "no such app"))
    assert PHONE.state == before
    assert PHONE.tree()
