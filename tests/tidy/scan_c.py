"""scan_c.py: what the rules need to know of a C file, found without a C parser.

The idea: replace comments, the insides of strings, and preprocessor lines by spaces, keeping every
newline. In what is left a brace is a brace, a line number is the file's own, and a function is a
"{" outside all braces that follows a ")".

Known to be wrong: a function made by a macro is not seen, and `#if`/`#else` branches that open the
same brace twice confuse the count. Our style has neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

# A comment or a literal, whichever starts first: neither is looked for inside the other.
COMMENT_OR_LITERAL = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b", re.MULTILINE)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
GUARD = re.compile(r"\s*#[ \t]*ifndef[ \t]+(\w+)\s+#[ \t]*define[ \t]+\1\b")
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
CONTROL = {"if", "for", "while", "switch"}


class Comment(NamedTuple):
    line: int
    text: str

    @property
    def line_count(self) -> int:
        return self.text.count("\n") + 1


class CFunction(NamedTuple):
    name: str
    line: int  # of the name
    code_lines: int  # from signature to closing brace, without blank and comment lines
    parameters: int
    nesting: int  # the deepest block inside the function's own


class Block(NamedTuple):
    """A pair of braces outside all others."""

    header: int  # where its introduction begins
    start: int  # its "{"
    end: int  # just after its "}"


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


class CSource:
    """One C or assembly file."""

    def __init__(self, text: str) -> None:
        self.text = text

    def line_at(self, offset: int) -> int:
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def comments(self) -> list[Comment]:
        found = COMMENT_OR_LITERAL.finditer(self.text)
        return [Comment(self.line_at(m.start()), m[0]) for m in found if m["comment"]]

    @cached_property
    def code(self) -> str:
        """The text without comments and without what is inside literals."""

        def keep(match: re.Match[str]) -> str:
            literal = match[0]
            return blank(literal) if match["comment"] else literal[0] + blank(literal[1:-1]) + '"'

        return COMMENT_OR_LITERAL.sub(keep, self.text)

    @cached_property
    def statements(self) -> str:
        """The code without preprocessor lines."""
        return DIRECTIVE.sub(lambda match: blank(match[0]), self.code)

    @cached_property
    def code_lines(self) -> int:
        return count_filled(self.code)

    @cached_property
    def comment_lines(self) -> int:
        """Lines that carry a comment, alone or after code: a field's comment counts."""
        lines = {c.line + i for c in self.comments for i in range(c.line_count)}
        return len(lines)

    @cached_property
    def conditionals(self) -> int:
        """How many #if, #ifdef, #ifndef and #elif, without the include guard."""
        return len(CONDITIONAL.findall(self.code)) - bool(GUARD.match(self.code))

    @cached_property
    def includes(self) -> list[tuple[int, str]]:
        """Line and name of every included file."""
        code = "\n".join(line.split("/*")[0] for line in self.text.split("\n"))
        return [(code.count("\n", 0, m.start()) + 1, m[2]) for m in INCLUDE.finditer(code)]

    @cached_property
    def functions(self) -> list[CFunction]:
        return [function for function, _ in self.bodies]

    @cached_property
    def bodies(self) -> list[tuple[CFunction, str]]:
        """Every function with the code between its braces."""
        found = ((self._function(block), block) for block in self._blocks())
        return [(f, self.statements[block.start : block.end]) for f, block in found if f]

    def _blocks(self) -> Iterator[Block]:
        depth = header = start = 0
        for match in re.finditer(r"[{};]", self.statements):
            if match[0] == "{":
                if depth == 0:
                    start = match.start()
                depth += 1
            elif match[0] == "}":
                depth -= 1
                if depth == 0:
                    yield Block(header, start, match.end())
                    header = match.end()
            elif depth == 0:
                header = match.end()

    def _function(self, block: Block) -> CFunction | None:
        """The function whose body the block is, if it is one."""
        header = self.statements[block.header : block.start]
        header = ATTRIBUTE.sub(lambda match: blank(match[0]), header)
        opening = opening_parenthesis(header)
        name = re.search(r"(\w+)\s*$", header[:opening]) if opening is not None else None
        if name is None or "=" in header:
            return None
        first = block.header + len(header) - len(header.lstrip())
        return CFunction(
            name[1],
            self.line_at(block.header + name.start()),
            count_filled(self.statements[first : block.end]),
            count_parameters(header[opening:]),
            deepest_block(self.statements[block.start : block.end]),
        )


def count_filled(text: str) -> int:
    return sum(1 for line in text.split("\n") if line.strip())


def opening_parenthesis(text: str) -> int | None:
    """Where the parenthesis opens that closes at the end of the text."""
    end = len(text.rstrip())
    if not text[:end].endswith(")"):
        return None
    depth = 0
    for at in range(end - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None


def count_parameters(parenthesis: str) -> int:
    """How many parameters "(int a, char *b)" has."""
    inside = parenthesis.strip()[1:-1].strip()
    if inside in ("", "void"):
        return 0
    depth = count = 0
    for char in inside:
        depth += {"(": 1, ")": -1}.get(char, 0)
        count += char == "," and depth == 0
    return count + 1


def deepest_block(body: str) -> int:
    """How deep blocks lie in a function's body; initialisers are not blocks."""
    kinds: list[bool] = []
    deepest = 0
    for match in re.finditer(r"[{}]", body):
        if match[0] == "{":
            kinds.append(is_block(body[: match.start()]))
            deepest = max(deepest, sum(kinds) - 1)
        else:
            kinds.pop()
    return deepest


def is_block(before: str) -> bool:
    """Whether the brace that follows opens statements rather than values."""
    before = before.rstrip()
    if not before.endswith(")"):
        return (
            before == "" or before[-1] in ";{}:" or re.search(r"\b(else|do)$", before) is not None
        )
    opening = opening_parenthesis(before)
    word = re.search(r"(\w+)\s*$", before[:opening])
    return word is not None and word[1] in CONTROL
