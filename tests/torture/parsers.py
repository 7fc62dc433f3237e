"""Libraries that read text: expressions, languages, tokenizers; and CPython's own compiler."""

import sysconfig
from pathlib import Path
from typing import Any

from tests.torture.work import Work, library

STANDARD = Path(sysconfig.get_path("stdlib"))
WORDS = [f"{a}{b} " for a in ("down", "up", "left", "right") for b in ("ward", "wards", "most")]
TEXT = "".join(WORDS[number * 7 % 12] for number in range(5000))
# What lib2to3 and its like keep on purpose is no Python.
NOT_PYTHON = ("bad", "lib2to3", "site-packages", "dist-packages", "idlelib")


def standard_files() -> list[Path]:
    files = sorted(STANDARD.rglob("*.py"))
    return [
        path
        for path in files
        if not any(part.startswith(NOT_PYTHON) for part in path.relative_to(STANDARD).parts)
        and "test" not in path.relative_to(STANDARD).parts
    ]


@library
def re() -> Work:
    import re

    work = Work()
    work.value("findall", lambda: len(re.findall(r"(?i)\b(\w+?)(ward)(s?)\b", TEXT)))
    work.value("backtracking", lambda: re.match("(?:a|b)*?c", "ab" * 100_000) is None)
    work.value("groups", lambda: re.match("((a)|(b))*", "ab" * 50_000).span())
    work.value("sub", lambda: len(re.sub(r"\w+", lambda m: m[0].upper() + str(len(m[0])), TEXT)))
    work.limit("brackets", lambda n: re.compile("(?:" * n + "a" + ")" * n), 3000)
    work.limit("groups", lambda n: re.compile("(" * n + "a" + ")" * n).match("a"), 3000)
    work.limit("look ahead", lambda n: re.compile("(?=" * n + "a" + ")" * n).match("a"), 3000)
    work.limit("repeats", lambda n: re.compile("(?:" * n + "a" + "b?)*" * n).match("aa"), 18)
    return work


@library
def regex() -> Work:
    import regex

    work = Work()
    work.value("findall", lambda: len(regex.findall(r"(?i)\b(\w+?)(ward)(s?)\b", TEXT)))
    work.value("recursive", lambda: balanced(regex, 500))
    work.value("fuzzy", lambda: regex.search("(?:upwrads){e<=2}", TEXT).span(), 4)
    work.limit("brackets", lambda n: regex.compile("(?:" * n + "a" + ")" * n), 3000)
    work.limit("groups", lambda n: regex.compile("(" * n + "a" + ")" * n).match("a"), 3000)
    work.limit("look ahead", lambda n: regex.compile("(?=" * n + "a" + ")" * n).match("a"), 3000)
    work.limit("recursive", lambda n: balanced(regex, n), 5000)
    return work


def balanced(regex: Any, levels: int) -> tuple[int, int]:
    return regex.match(r"\((?:[^()]|(?R))*\)", "(" * levels + "a" + ")" * levels).span()


@library
def ast() -> Work:
    """The compiler, and the trees of its parser."""
    import ast

    work = Work()
    files = standard_files()[:60]
    sources = [path.read_bytes() for path in files]
    work.value("compile", lambda: [compile(text, "f", "exec").co_consts for text in sources[:8]])
    work.value("dump", lambda: [len(ast.dump(ast.parse(text))) for text in sources[:3]], 4)
    work.value("unparse", lambda: [len(ast.unparse(ast.parse(text))) for text in sources[:3]], 4)

    for name, text, high in (
        ("brackets", lambda n: "(" * n + "1" + ")" * n, 300),
        ("calls", lambda n: "f(" * n + ")" * n, 300),
        ("a sum", lambda n: "1" + "+a" * n, 12_000),
        ("attributes", lambda n: "a" + ".b" * n, 3500),
        ("not", lambda n: "not " * n + "1", 6500),
        ("ternaries", lambda n: "a if a else " * n + "a", 3500),
        ("f-strings", lambda n: "f'" + "{a:" * n + "}" * n + "'", 200),
    ):
        work.limit(f"compile {name}", lambda n, t=text: compile(t(n), "text", "eval"), high)
    work.limit("literal", lambda n: ast.literal_eval("[" * n + "]" * n), 300)
    work.limit("unparse", lambda n: ast.unparse(ast.parse("(1," * n + ")" * n)), 300)
    work.limit("dump", lambda n: ast.dump(ast.parse("-" * n + "a")), 3000)
    work.limit("walk", lambda n: sum(1 for _ in ast.walk(ast.parse("-" * n + "a"))), 3000)
    return work


@library
def libcst() -> Work:
    import libcst

    work = Work()
    files = standard_files()

    def parse(path: Path) -> int:
        try:
            return len(libcst.parse_module(path.read_bytes()).body)
        except RecursionError:  # its own Python, on one long sum
            return -1

    for part in range(20):  # every file, each in one task
        work.value(f"standard library {part}", lambda n=part: [*map(parse, files[n::20])], 1)
    work.limit("brackets", lambda n: libcst.parse_expression("(" * n + "a" + ")" * n), 200)
    work.limit("lists", lambda n: libcst.parse_expression("[" * n + "]" * n), 200)
    work.limit("a sum", lambda n: libcst.parse_expression("a" + "+a" * n).deep_clone(), 200)
    return work


@library
def tokenizers() -> Work:
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, trainers

    work = Work()

    def train(model: Any, trainer: Any) -> Any:
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        tokenizer.train_from_iterator([TEXT] * 5, trainer)
        return tokenizer

    def pairs() -> Any:
        trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False)
        return train(models.BPE(), trainer).encode(TEXT).ids

    def words() -> int:
        trainer = trainers.WordPieceTrainer(vocab_size=400, show_progress=False)
        return len(train(models.WordPiece(), trainer).encode_batch([TEXT] * 20))

    work.value("byte pairs", pairs)
    work.value("word pieces", words)
    return work


@library
def quickjs() -> Work:
    """It looks at the stack pointer, and compares it with where the context was made."""
    import quickjs

    work = Work()

    def run(text: str) -> Any:
        return quickjs.Context().eval(text)

    work.value(
        "sieve", lambda: run("let a=[];for(let i=2;i<9e3;i++)if(a.every(p=>i%p))a.push(i);a.length")
    )
    work.value("regular expression", lambda: run("/(a|b)*c/.test('ab'.repeat(900))"))
    work.value("json", lambda: run("JSON.stringify(JSON.parse('['.repeat(100)+']'.repeat(100)))"))
    work.limit("calls", lambda n: run(f"(function f(n){{return n?f(n-1):0}})({n})"), 5000)
    work.limit("sort", lambda n: run(f"(function f(n){{n&&[2,1].sort(()=>f(n-1)&&0)}})({n})"), 12)
    work.limit("parse", lambda n: run("(" * n + "1" + ")" * n), 5000)
    work.limit("json", lambda n: run(f"JSON.parse('['.repeat({n})+']'.repeat({n}))&&0"), 5000)
    work.limit("end", lambda n: run(f"let a=[];for(let i=0;i<{n};i++)a=[a];a=0"), 20_000)
    work.limit("arrays", lambda n: run("[" * n + "]" * n + "&&0"), 5000)
    return work
