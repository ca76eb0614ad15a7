"""The grammar of the device shell: a command line to a tree of words, commands and pipelines, which `shell.py` runs.

A subset of POSIX sh as Android's mksh speaks it: quotes, backslashes, variables, command substitution, redirections,
`;`, `&&`, `||`, `|`, `!`, groups in parentheses. What it cannot parse is a `ShellSyntaxError`, never half executed.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_OPERATORS = ("&&", "||", ";;", ";", "&", "|", "(", ")", "\n")
_REDIRECT = re.compile(r"(\d?)(>>|>&|<&|>\||<<|>|<)")
MAX_NESTING = 32
_WORD_ENDS = frozenset(" \t\n;&|()<>")
_RESERVED = frozenset({"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac"})


class ShellSyntaxError(ValueError):
    """The command line is no sentence of the grammar; the message reads as mksh's does."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a word: literal text, the name of a variable, or a command line to substitute."""

    text: str
    kind: Literal["text", "variable", "command"] = "text"
    quoted: bool = False


Word = tuple[Part, ...]


class Redirect(msgspec.Struct, frozen=True):
    """`fd` goes to a file (`>`, `>>`), comes from one (`<`), or follows another descriptor (`>&`)."""

    fd: int
    operator: str
    target: Word


class Command(msgspec.Struct, frozen=True):
    """A simple command, or with `group` a list in parentheses or braces."""

    words: tuple[Word, ...] = ()
    assignments: tuple[tuple[str, Word], ...] = ()
    redirects: tuple[Redirect, ...] = ()
    group: Script | None = None


class Pipeline(msgspec.Struct, frozen=True):
    """Commands joined by `|`; `negated` turns the exit status around; `after` says when it runs."""

    commands: tuple[Command, ...]
    after: Literal[";", "&&", "||"] = ";"
    negated: bool = False


class Script(msgspec.Struct, frozen=True):
    """Pipelines in order."""

    pipelines: tuple[Pipeline, ...] = ()


def parse(line: str) -> Script:
    """Return the tree of a command line.

    Raises:
        ShellSyntaxError: Unbalanced quotes or parentheses, a missing command, or syntax that this shell lacks.
    """
    parser = _Parser(line)
    script = parser.script("")
    if parser.peek():
        raise ShellSyntaxError(f"syntax error: unexpected '{parser.peek()}'")
    return script


class _Parser:
    """A recursive descent over the characters of one command line; `at` is the next one."""

    def __init__(self, line: str, depth: int = 0) -> None:
        self.line = line
        self.at = 0
        self.depth = depth

    def peek(self) -> str:
        """Skip blanks and comments; return the operator at hand, the character at hand, or "" at the end."""
        while self.at < len(self.line):
            if self.line[self.at] in " \t\r":
                self.at += 1
            elif self.line.startswith("\\\n", self.at):
                self.at += 2
            elif self.line[self.at] == "#":
                end = self.line.find("\n", self.at)
                self.at = len(self.line) if end < 0 else end
            else:
                break
        for operator in _OPERATORS:
            if self.line.startswith(operator, self.at):
                return operator
        return self.line[self.at : self.at + 1]

    def take(self, operator: str) -> bool:
        """Consume `operator` if it is at hand."""
        if self.peek() == operator:
            self.at += len(operator)
            return True
        return False

    def script(self, end: str) -> Script:
        """Return everything up to the operator or word `end` ("" is the end of the line)."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise ShellSyntaxError(f"syntax error: nested more than {MAX_NESTING} deep")
        found: list[Pipeline] = []
        after: Literal[";", "&&", "||"] = ";"
        while True:
            while self.take("\n") or (after == ";" and found and self.take(";")):
                pass
            token = self.peek()
            if token in ("", ")") or (end == "}" and token == "}"):
                if after != ";":
                    raise ShellSyntaxError("syntax error: unexpected EOF")
                self.depth -= 1
                return Script(tuple(found))
            found.append(self.pipeline(after))
            joined = next((token for token in ("&&", "||") if self.take(token)), None)
            if joined is not None:
                after = "&&" if joined == "&&" else "||"
                continue
            after = ";"
            if not (self.take(";") or self.take("&") or self.take("\n")) and self.peek() not in ("", ")", "}"):
                raise ShellSyntaxError(f"syntax error: unexpected '{self.peek()}'")

    def pipeline(self, after: Literal[";", "&&", "||"]) -> Pipeline:
        """Return commands joined by `|`."""
        negated = False
        while self.peek() == "!" and self.line[self.at + 1 : self.at + 2] in (" ", "\t"):
            self.at += 1
            negated = not negated
        commands = [self.command()]
        while self.take("|"):
            while self.take("\n"):
                pass
            commands.append(self.command())
        return Pipeline(tuple(commands), after, negated)

    def command(self) -> Command:
        """Return one command with its assignments and redirections."""
        group = self.group()
        words: list[Word] = []
        assignments: list[tuple[str, Word]] = []
        redirects: list[Redirect] = []
        while True:
            token = self.peek()
            redirect = _REDIRECT.match(self.line, self.at)
            if redirect is not None:
                redirects.append(self.redirect(redirect))
            elif token == "" or token in _OPERATORS or (token == "}" and group is None and not words):
                break
            elif group is not None:
                raise ShellSyntaxError(f"syntax error: unexpected '{token}'")
            elif not words and (name := _ASSIGNMENT.match(self.line, self.at)) is not None:
                self.at = name.end()
                assignments.append((name.group(1), self.word()))
            else:
                words.append(self.word())
        if words and (first := _plain(words[0])) in _RESERVED:
            raise ShellSyntaxError(f"syntax error: '{first}' is not supported by this shell")
        if not (words or assignments or redirects or group):
            raise ShellSyntaxError(f"syntax error: unexpected '{self.peek() or 'EOF'}'")
        return Command(tuple(words), tuple(assignments), tuple(redirects), group)

    def group(self) -> Script | None:
        """Return the list in parentheses or braces at hand, None if there is none."""
        if self.take("("):
            closing = ")"
        elif self.peek() == "{" and self.line[self.at + 1 : self.at + 2] in (" ", "\t", "\n"):
            self.at += 1
            closing = "}"
        else:
            return None
        inner = self.script(closing)
        if not self.take(closing):
            raise ShellSyntaxError(f"syntax error: unmatched '{'(' if closing == ')' else '{'}'")
        return inner

    def redirect(self, found: re.Match[str]) -> Redirect:
        """Return the redirection at hand."""
        operator = found.group(2)
        if operator == "<<":
            raise ShellSyntaxError("syntax error: here documents are not supported by this shell")
        self.at = found.end()
        self.peek()
        target = self.word()
        if not target:
            raise ShellSyntaxError("syntax error: unexpected 'newline'")
        fd = int(found.group(1)) if found.group(1) else (0 if operator.startswith("<") else 1)
        return Redirect(fd, ">" if operator == ">|" else operator, target)

    def word(self) -> Word:
        """Return the word at hand."""
        parts: list[Part] = []
        while self.at < len(self.line) and self.line[self.at] not in _WORD_ENDS:
            character = self.line[self.at]
            if character == "'":
                parts.append(Part(self.until_quote(), quoted=True))
            elif character == '"':
                self.at += 1
                parts.extend(self.double_quoted())
            elif character == "\\":
                following = self.line[self.at + 1 : self.at + 2]
                self.at += 2
                if following != "\n":
                    parts.append(Part(following or "\\", quoted=True))
            elif character in "$`":
                parts.append(self.substitution(quoted=False))
            else:
                start = self.at
                while self.at < len(self.line) and self.line[self.at] not in "'\"\\$`" + "".join(_WORD_ENDS):
                    self.at += 1
                parts.append(Part(self.line[start : self.at]))
        return tuple(parts)

    def until_quote(self) -> str:
        """Return what stands between single quotes."""
        end = self.line.find("'", self.at + 1)
        if end < 0:
            raise ShellSyntaxError("no closing quote")
        text = self.line[self.at + 1 : end]
        self.at = end + 1
        return text

    def double_quoted(self) -> list[Part]:
        """Return the parts up to the closing double quote."""
        parts = [Part("", quoted=True)]
        while self.at < len(self.line):
            character = self.line[self.at]
            if character == '"':
                self.at += 1
                return parts
            if character == "\\" and self.line[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                following = self.line[self.at + 1]
                self.at += 2
                parts.append(Part("" if following == "\n" else following, quoted=True))
            elif character in "$`":
                parts.append(self.substitution(quoted=True))
            else:
                self.at += 1
                parts.append(Part(character, quoted=True))
        raise ShellSyntaxError("no closing quote")

    def substitution(self, quoted: bool) -> Part:
        """Return the variable or command at hand; a lone "$" is itself."""
        if self.line[self.at] == "`":
            return Part(self.backticks(), "command", quoted)
        rest = self.line[self.at + 1 : self.at + 2]
        if self.line.startswith("$((", self.at):
            raise ShellSyntaxError("syntax error: arithmetic is not supported by this shell")
        if rest == "(":
            return Part(self.parenthesised(), "command", quoted)
        if rest == "{":
            end = self.line.find("}", self.at)
            name = self.line[self.at + 2 : end] if end > 0 else ""
            if not (_NAME.fullmatch(name) or name in ("?", "$", "#")):
                raise ShellSyntaxError("bad substitution")
            self.at = end + 1
            return Part(name, "variable", quoted)
        if rest in tuple("?$#@*!0123456789"):
            self.at += 2
            return Part(rest, "variable", quoted)
        name_found = _NAME.match(self.line, self.at + 1)
        if name_found is None:
            self.at += 1
            return Part("$", quoted=quoted)
        self.at = name_found.end()
        return Part(name_found.group(), "variable", quoted)

    def parenthesised(self) -> str:
        """Return the command line of a `$(...)`."""
        inner = _Parser(self.line, self.depth)
        inner.at = start = self.at + 2
        inner.script(")")
        if not inner.take(")"):
            raise ShellSyntaxError("syntax error: unmatched '('")
        self.at = inner.at
        return self.line[start : inner.at - 1]

    def backticks(self) -> str:
        """Return the command line between backticks."""
        text = ""
        self.at += 1
        while self.at < len(self.line):
            character = self.line[self.at]
            if character == "`":
                self.at += 1
                return text
            if character == "\\" and self.line[self.at + 1 : self.at + 2] in ("`", "\\", "$"):
                self.at += 1
                character = self.line[self.at]
            text += character
            self.at += 1
        raise ShellSyntaxError("no closing quote")


def _plain(word: Word) -> str:
    return "".join(part.text for part in word) if all(not p.quoted and p.kind == "text" for p in word) else ""
