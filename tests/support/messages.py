"""The messages that the sidecar's code gives to certain calls, as texts with `…` for what varies."""

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.constants import SIDECAR

_SHOWING: Final = {"one_line", "_one_line", "cut", "plain"}
"""Functions that give back their first argument, made fit to be shown."""
FEWEST_WORDS: Final = 2
"""A shorter text tells nothing by itself, such as `normally` or a verb."""
FEWEST_QUOTED: Final = 4
"""A quotation of fewer words tells of no message that is longer, such as `the store local:…: …`."""
_ADVICE: Final = "\0"
_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def modules(*folders: str) -> list[ast.Module]:
    """The modules in those folders of the sidecar; in all of it without a folder."""
    return [_parsed(path) for folder in folders or ("",) for path in sorted((SIDECAR / folder).rglob("*.py"))]


def callee(call: ast.Call) -> str:
    """The name of what is called, without what stands before a dot."""
    return call.func.id if isinstance(call.func, ast.Name) else call.func.attr if isinstance(call.func, ast.Attribute) else ""


def given_to(module: ast.Module, names: Collection[str]) -> Iterator[str]:
    """The texts in the arguments of each call of one of `names`, also where an argument is a variable or a constant of the module."""
    for scope, node in _within(module):
        if isinstance(node, ast.Call) and callee(node) in names:
            for argument in node.args:
                yield from texts(argument, (scope, module))


def returned_by(module: ast.Module, names: Collection[str]) -> Iterator[str]:
    """The texts that the functions of those names return."""
    for scope, node in _within(module):
        if isinstance(node, ast.Return) and node.value is not None and isinstance(scope, _FUNCTION) and scope.name in names:
            yield from texts(node.value, (scope, module))


def assigned_to(module: ast.Module, names: Collection[str]) -> Iterator[str]:
    """The texts that are assigned to attributes of those names, or to their members."""
    for scope, node in _within(module):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            found = target.value if isinstance(target, ast.Subscript) else target
            if isinstance(node, ast.Assign) and isinstance(found, ast.Attribute) and found.attr in names:
                yield from texts(node.value, (scope, module))


def texts(node: ast.expr, scopes: tuple[ast.AST, ...]) -> Iterator[str]:  # noqa: C901 - one branch for each kind of expression
    """Each text in an expression by itself. `scopes`: where the values of its variables are looked for."""
    match node:
        case ast.Constant(str(text)):
            yield text
        case ast.JoinedStr(parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
            for part in parts:
                if isinstance(part, ast.FormattedValue):
                    yield from texts(part.value, scopes)
        case ast.IfExp(_, yes, no):
            yield from texts(yes, scopes)
            yield from texts(no, scopes)
        case ast.Call() if callee(node) in _SHOWING:
            yield from texts(node.args[0], scopes)
        case ast.Subscript(value):
            yield from texts(value, scopes)
        case ast.Dict(_, values):
            for value in values:
                yield from texts(value, scopes)
        case ast.Name(name):
            for value in (value for scope in scopes for value in _values(name, scope)):
                yield from texts(value, scopes)


def is_told(text: str, spans: Collection[str]) -> bool:
    """Whether one of a page's quotations tells of a message, by its words in their order. True for a text of less than two words.

    A quotation may be shorter than the message, or longer. The message's advice need not be quoted: what follows the first `; ` or `. `.
    """
    pieces = _pieces(text.replace("; ", _ADVICE).replace(". ", _ADVICE).lstrip(_ADVICE).partition(_ADVICE)[0])
    if _words(pieces) < FEWEST_WORDS:
        return True
    return any(_follow(pieces, span) or (_words(_pieces(span)) >= FEWEST_QUOTED and _follow(_pieces(span), text)) for span in spans)


def _words(pieces: list[str]) -> int:
    return len(re.findall(r"\w+", " ".join(pieces)))


def _pieces(text: str) -> list[str]:
    return [piece.strip(" :;,") for piece in text.replace("%s", "…").split("…") if piece.strip(" :;,")]


def _follow(pieces: list[str], text: str) -> bool:
    """Whether `text` has the pieces in their order."""
    at = 0
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def _values(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    inside = ast.walk(scope) if isinstance(scope, _FUNCTION) else scope.body if isinstance(scope, ast.Module) else ()
    for node in inside:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and target.id == name and node.value is not None:
            yield node.value


def _within(module: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Each node with the innermost function, or the module, in which it stands."""
    rest: list[tuple[ast.AST, ast.AST]] = [(module, module)]
    while rest:
        scope, node = rest.pop()
        yield scope, node
        inner = node if isinstance(node, _FUNCTION) else scope
        rest += [(inner, child) for child in ast.iter_child_nodes(node)]
