"""proto."""

import ast
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

Areas: TypeAlias = Mapping[str, str] | Callable[[str], str | None]

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_RUN = re.compile(r"[^\W\d_][\w]*|_+\w+")


def split_words(text: str) -> list[str]:
    return [piece.lower() for piece in _PIECE.findall(text)]


@dataclass
class _Module:
    name: str
    package: bool
    docs: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    imports: list[tuple[str, list[str]]] = field(default_factory=list)


def _files(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        yield name, root
        return
    if not (root / "__init__.py").is_file():
        return
    yield name, root / "__init__.py"
    for path in sorted(root.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir() and path.name.isidentifier():
            yield from _files(path, f"{name}.{path.name}")
        elif path.suffix == ".py" and path.stem.isidentifier() and path.stem != "__init__":
            yield f"{name}.{path.stem}", path


def _parse(path: Path) -> ast.Module | None:
    try:
        with tokenize.open(path) as f:
            source = f.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return None


def _visit(body, module, depth=0):
    for node in body:
        if isinstance(node, ast.Import):
            module.imports += [(a.name, []) for a in node.names]
            continue
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.name.split(".")
                keep = len(parts) - node.level + module.package
                if keep < 1:
                    continue
                base = ".".join(parts[:keep] + ([node.module] if node.module else []))
            module.imports.append((base, [a.name for a in node.names]))
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            d = ast.get_docstring(node)
            if d:
                module.docs.append(d)
            if depth < 2:
                module.names.append(node.name)
        for f in ("body", "orelse", "finalbody"):
            inner = getattr(node, f, None)
            if inner:
                _visit(
                    inner,
                    module,
                    depth + isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)),
                )
        for f in ("handlers", "cases"):
            for h in getattr(node, f, ()):
                _visit(h.body, module, depth)


def read(roots, skip=lambda n: False):
    out, failed = {}, 0
    for name, root in sorted(roots.items()):
        for dotted, path in _files(root, name):
            if skip(dotted):
                continue
            tree = _parse(path)
            if tree is None:
                failed += 1
                continue
            m = _Module(dotted, path.name == "__init__.py")
            d = ast.get_docstring(tree)
            if d:
                m.docs.append(d)
            _visit(tree.body, m)
            out[dotted] = m
    return dict(sorted(out.items())), failed


def edges(mods):
    pos = {n: i for i, n in enumerate(mods)}
    es = set()
    for n, m in mods.items():
        for base, names in m.imports:
            t = set()
            if names:
                sub = [f"{base}.{x}" for x in names]
                t = {s for s in sub if s in pos}
                if len(t) < len(sub):
                    t.add(base)
            else:
                t.add(base)
            for x in t:
                while x and x not in pos:
                    x = x.rpartition(".")[0]
                if x and x != n:
                    es.add((pos[n], pos[x]))
    return torch.tensor(sorted(es)).T


def mask_text(text, names):
    def hit(w):
        return any(w == n or (len(n) > 3 and n in w) for n in names)

    def rep(m):
        t = m.group()
        if hit(t.lower().replace("_", "")):
            return "_"
        ps = _PIECE.findall(t)
        if any(hit(p.lower()) for p in ps):
            return " ".join(p for p in ps if not hit(p.lower())) or "_"
        return t

    return _RUN.sub(rep, text)


def own_names(dotted, area):
    parts = dotted.split(".")
    out = {p.lower().replace("_", "") for p in parts} | {w for p in parts for w in split_words(p)}
    out |= set(split_words(area or ""))
    return {o for o in out if len(o) > 1}


def features(texts, words=2000, least=3):
    bags = [Counter(w for w in split_words(t) if len(w) > 1 and w not in ENGLISH_STOP_WORDS) for t in texts]
    df = Counter(w for b in bags for w in b)
    vocab = sorted(sorted((w for w in df if df[w] >= least), key=lambda w: (-df[w], w))[:words])
    pos = {w: i for i, w in enumerate(vocab)}
    x = np.zeros((len(texts), len(vocab)))
    for i, b in enumerate(bags):
        for w, c in b.items():
            if w in pos:
                x[i, pos[w]] = c
    return x, vocab
