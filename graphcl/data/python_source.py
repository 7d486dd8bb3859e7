"""Python source code as text-attributed graphs: modules, what they say about themselves, and what they import.

| data set | nodes | label |
|---|---|---|
| `python-stdlib` | modules of the running Python's library and of its tests | area of the library reference |
| `python-packages` | modules of the scientific packages graphcl stands on | subject, across packages |
| `source_graph` | modules of any code base | whatever the caller says |

A node is a module, an (undirected) edge an import statement between two of them, wherever in the file it stands. The
text of a node is every docstring of its file and the names of its classes, functions and methods. The words of its own
dotted name are taken out of its text, and the words of the area names out of all texts, so that a label cannot be read
off. The features are the TF-IDF weights of the most widespread words. Files are parsed, never imported.
"""

import ast
import copy
import gc
import importlib.metadata
import importlib.util
import platform
import re
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.data.spec import DatasetSpec, Files, Graphs, Layout
from graphcl.data.words import split_words, tf_idf, word_pieces
from graphcl.errors import DataError, RequestError

__all__ = ["PYTHON_PACKAGES", "PYTHON_STDLIB", "Areas", "source_graph"]

Areas: TypeAlias = Mapping[str, str] | Callable[[str], str | None]
"""Dotted prefix to area (the longest prefix of a module's name counts), or a function of the module's name."""

_IDENTIFIER = re.compile(r"\w+")
_ENTERED = (  # the statements that hold others, and those looked for; match_case and ExceptHandler are parts of such
    *(ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.For, ast.AsyncFor),
    *(ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.ExceptHandler, ast.Match, ast.match_case),
)
_GLUE = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_SHORT = 3  # a name up to this length is masked as a whole word only: "os" inside "close" tells nothing


def source_graph(
    roots: Mapping[str, Path],
    areas: Areas,
    *,
    skip: Callable[[str], bool] = lambda name: False,
    words: int = 2000,
    least: int = 3,
) -> Data:
    r"""Turn Python source trees into one text-attributed graph of modules and imports, without importing anything.

    .. math::
        x_{vw} \propto (1 + \ln \mathrm{tf}_{vw}) \Big(1 + \ln \frac{1 + N}{1 + \mathrm{df}_w}\Big), \quad \|x_v\|_2 = 1

    Args:
        roots: dotted module name to the package's folder (one that holds ``__init__.py``) or to a single file.
            Folders without ``__init__.py`` and symbolic links below a root are not entered.
        areas: the label of each module; ``None``, or no prefix that fits, gives the label -1.
        skip: modules to leave out, by dotted name; with a package goes all that is below it.
        words: F at most, 1 or more; the words that stand in the most texts are taken, ties in alphabetical order.
        least: number of texts a word must stand in, 1 or more.

    Returns:
        A graph with ``x`` ``float32 [N, F]`` (rows of zeros where no word is left), ``edge_index`` ``[2, E]`` in both
        directions, ``y`` ``[N]``, and beside them ``import_index`` ``[2, M]`` (importing, imported module), ``text``
        and ``node_names`` (N strings, in the order of the names), ``class_names``, ``vocabulary`` (F words) and
        ``unparsed``, the number of files that are no valid Python of this version.

    Raises:
        RequestError: no roots, a root that is neither a package nor a file, or a number below 1.
        DataError: no module can be parsed, or no word is frequent enough.

    Example:
        >>> from graphcl import data
        >>> graph = source_graph({"data": Path(data.__path__[0])}, {"data.python_source": "code", "data": "other"})
        >>> graph.class_names, graph.node_names.index("data.block_model") >= 0
        (['code', 'other'], True)
    """
    if not roots:
        raise RequestError("source_graph: no roots; name at least one package folder")
    for what, value in (("words", words), ("least", least)):
        if value < 1:
            raise RequestError(f"source_graph: {what} = {value}: input should be 1 or more")
    modules, unparsed = _read_modules(roots, skip)
    if not modules:
        where = ", ".join(str(path) for path in roots.values())
        raise DataError(f"source_graph: no Python file that can be parsed below {where}")
    return _graph(modules, unparsed, areas, words, least)


def _graph(modules: Mapping[str, "_Module"], unparsed: int, areas: Areas, words: int = 2000, least: int = 3) -> Data:
    names = list(modules)
    found = [_area(name, areas) for name in names]
    classes = sorted({area for area in found if area is not None})
    everywhere = {word.removesuffix("s") for area in classes for word in split_words(area)} - _GLUE
    text = [_masked(module.text, everywhere | _name_words(name)) for name, module in modules.items()]
    x, vocabulary = tf_idf(text, words, least, "source_graph")
    imports = _import_index(modules)
    return Data(
        x=x,
        edge_index=to_undirected(imports, num_nodes=len(names)),
        y=torch.tensor([-1 if area is None else classes.index(area) for area in found]),
        import_index=imports,
        text=text,
        node_names=names,
        class_names=classes,
        vocabulary=vocabulary,
        unparsed=unparsed,
    )


@dataclass
class _Module:
    name: str
    is_package: bool
    summary: str = ""
    """First paragraph of the module's own docstring."""
    docs: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    imports: list[tuple[str, list[str]]] = field(default_factory=list)
    """Absolute module name, and what is taken from it (nothing for a plain ``import``)."""

    @property
    def text(self) -> str:
        return "\n\n".join([*self.docs, " ".join(self.names)]).strip()

    def absolute(self, statement: ast.ImportFrom) -> str | None:
        """The full name of what an import statement starts from, ``None`` beyond the top of the package."""
        if not statement.level:
            return statement.module
        parts = self.name.split(".")
        kept = len(parts) - statement.level + self.is_package
        return ".".join([*parts[:kept], *filter(None, [statement.module])]) if kept > 0 else None


@contextmanager
def _collector_paused() -> Iterator[None]:
    # syntax trees hold no cycles, yet each of their many nodes counts towards the next collection: thrice the time
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_modules(roots: Mapping[str, Path], skip: Callable[[str], bool]) -> tuple[dict[str, _Module], int]:
    modules: dict[str, _Module] = {}
    unparsed = 0
    with _collector_paused():
        for root, path in roots.items():
            if not all(part.isidentifier() for part in root.split(".")):
                raise RequestError(f"source_graph: '{root}' is no module name")
            if not path.is_file() and not (path / "__init__.py").is_file():
                raise RequestError(f"source_graph: '{root}': {path} is neither a file nor a folder with __init__.py")
            for name, file in _walk(root, path, skip):
                module = _parse(name, file)
                if module is None:
                    unparsed += 1
                else:
                    modules[name] = module
    return dict(sorted(modules.items())), unparsed


def _walk(name: str, path: Path, skip: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    if skip(name):
        return
    if path.is_file():
        yield name, path
        return
    yield name, path / "__init__.py"
    for entry in sorted(path.iterdir()):
        if entry.is_symlink() or not entry.stem.isidentifier() or entry.name == "__init__.py":
            continue
        is_package = (entry / "__init__.py").is_file() and entry.name.isidentifier()
        if is_package or (entry.suffix == ".py" and entry.is_file()):
            yield from _walk(f"{name}.{entry.stem}", entry, skip)


def _parse(name: str, path: Path) -> _Module | None:
    try:
        with tokenize.open(path) as stream:
            source = stream.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in other people's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return None
    module = _Module(name, path.name == "__init__.py")
    _visit(tree, module)
    return module


def _visit(tree: ast.Module, module: _Module) -> None:
    """Collect imports, docstrings and names from the statements in reading order; expressions are not entered."""
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, ast.Import):
            module.imports += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module.absolute(node)
            if base is not None:
                module.imports.append((base, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                module.docs.append(docstring)
            if isinstance(node, ast.Module):
                module.summary = " ".join((docstring or "").partition("\n\n")[0].split())
            else:
                depth += 1
                if depth <= 2:
                    module.names.append(node.name)
        for part in ("cases", "finalbody", "orelse", "handlers", "body"):
            inner = getattr(node, part, None)
            if inner:
                waiting += [(child, depth) for child in reversed(inner) if isinstance(child, _ENTERED)]


def _import_index(modules: Mapping[str, _Module]) -> Tensor:
    position = {name: number for number, name in enumerate(modules)}
    edges = set()
    for name, module in modules.items():
        for base, taken in module.imports:
            for target in _targets(base, taken, position):
                if target != name:
                    edges.add((position[name], position[target]))
    return torch.tensor(sorted(edges), dtype=torch.long).reshape(-1, 2).t().contiguous()


def _targets(base: str, taken: Sequence[str], known: Mapping[str, int]) -> set[str]:
    """The modules an import statement names: ``from a import b`` means ``a.b`` where that is a module, else ``a``."""
    wanted = {f"{base}.{name}" if f"{base}.{name}" in known else base for name in taken} or {base}
    targets = set()
    for target in wanted:
        # "os.path" or a compiled "a.b" has no source of its own: what is left is the package that provides it
        while target and target not in known:
            target = target.rpartition(".")[0]
        targets.add(target)
    return targets - {""}


def _area(name: str, areas: Areas) -> str | None:
    if callable(areas):
        return areas(name)
    while name and name not in areas:
        name = name.rpartition(".")[0]
    return areas.get(name)


def _name_words(name: str) -> set[str]:
    """What to take out of the text of a module: the parts of its dotted name, whole and taken apart, letters only."""
    parts = [split_words(part) for part in name.split(".")]
    return {word for part in parts for word in [*part, "".join(part)] if len(word) > 1}


def _masked(text: str, words: Iterable[str]) -> str:
    """Take words out of a text; from four letters on also as parts of identifiers, with or without underscores."""
    exact = set(words)
    long = sorted((word for word in exact if len(word) > _SHORT), key=lambda word: (-len(word), word))
    anywhere = re.compile("|".join(long)) if long else None
    seen: dict[str, str] = {}

    def replace(match: re.Match[str]) -> str:
        token = match.group()
        if token not in seen:
            seen[token] = _without(token, exact, anywhere)
        return seen[token]

    return _IDENTIFIER.sub(replace, text)


def _without(token: str, exact: set[str], anywhere: re.Pattern[str] | None) -> str:
    pieces = word_pieces(token)
    joined = "".join(pieces).lower()
    hits = [match.span() for match in anywhere.finditer(joined)] if anywhere else []
    kept, start = [], 0
    for piece in pieces:
        end = start + len(piece)
        if piece.lower() not in exact and not any(a < end and start < b for a, b in hits):
            kept.append(piece)
        start = end
    return token if len(kept) == len(pieces) else " ".join(kept) or "_"


def _by_module(areas: Mapping[str, str]) -> dict[str, str]:
    return {module: area for area, modules in areas.items() for module in modules.split()}


# Chapters of the Python library reference, merged into ten areas of similar size. The names are modules, or what is
# left of a test module's name without "test_": the tests of built-in types and of the language have no module.
_STDLIB = _by_module(
    {
        "text and codecs": """
            string re sre_compile sre_constants sre_parse difflib textwrap unicodedata stringprep codecs encodings
            struct locale gettext fstring format unicode ucn bytes userstring codecencodings codecmaps codeccallbacks
            multibytecodec charmapcodec cjkencodings testcodec source utf8source
        """,
        "data types and numbers": """
            datetime pydatetime zoneinfo calendar collections heapq bisect array weakref weakrefset weakset types copy
            pprint reprlib enum graphlib numbers math cmath decimal pydecimal fractions random statistics
            itertools functools operator colorsys datetimetester strptime dict list tuple set int pylong float
            complex bool range slice long memoryview deque defaultdict ordered str userdict userlist
            seq mapping dictviews pow hash sort iter enumerate index strtod numeric abstract structseq
        """,
        "files and storage": """
            pathlib posixpath ntpath genericpath fileinput stat filecmp tempfile glob fnmatch linecache shutil pickle
            copyreg picklebuffer pickletester pickletools shelve marshal dbm sqlite3 zlib gzip bz2 lzma compression
            zipfile tarfile csv configparser tomllib netrc plistlib xdrlib hashlib hmac secrets io pyio fileio bufio
            file largefile memoryio univnewlines zipapp
        """,
        "operating system": """
            os time strftime logging platform errno ctypes getpass pwd grp termios tty pty openpty fcntl resource
            syslog posix nis pipes crypt spwd msvcrt winreg winsound winconsoleio msilib startfile sysconfig select mmap
            ioctl devpoll utf8_mode
        """,
        "concurrency": """
            threading threading_local multiprocessing concurrent subprocess sched queue contextvars context thread
            asyncio signal selectors fork fork1 popen wait3 wait4 lock coroutines asyncgen epoll poll kqueue asyncore
            asynchat threadsignals threadedtempfile eintr interpreters xxsubinterpreters free_threading
        """,
        "networking": """
            socket ssl socketserver webbrowser wsgiref urllib urllibnet urllib2net http ftplib poplib imaplib smtplib
            smtpd smtpnet nntplib telnetlib xmlrpc ipaddress cgi cgitb uuid urlparse robotparser docxmlrpc httplib
            httpservers nturl2path ssltests timeout
        """,
        "internet data and markup": """
            email json mailbox mailcap mimetypes base64 binascii quopri uu html xml markupbase htmlparser minidom
            pulldom pyexpat sax xmltests wave aifc sunau chunk sndhdr imghdr audioop ossaudiodev audiotests audiodata
        """,
        "user interfaces": """
            tkinter turtle turtledemo idlelib idle curses cmd shlex argparse getopt optparse readline rlcompleter tcl
            tix tk ttk pyrepl colorize
        """,
        "development tools": """
            pydoc pydoc_data doctest unittest test.support test.libregrtest regrtest bdb pdb faulthandler trace
            tracemalloc timeit profile profiling cprofile cProfile pstats distutils ensurepip venv lib2to3 pyclbr
            tabnanny py_compile compileall modulefinder tools pythoninfo autotest gdb dtrace clinic peg_generator
        """,
        "runtime and language": """
            sys builtins __main__ warnings dataclasses contextlib abc py_abc collections_abc atexit traceback gc
            inspect __future__ future site code codeop importlib zipimport pkgutil runpy imp import ast symtable token
            tokenize keyword dis opcode opcodes opcache typing annotationlib grammar generator generators exception
            exceptions baseexception descr class genericclass genericalias metaclass decorators scope super syntax
            capi embed builtin unpack patma compile peepholer frame raise with yield property extcall funcattrs named
            audit module pkg frozen type typechecks typinganndata dictcomps listcomps setcomps genexps augassign binop
            compare contains unary richcmp isinstance dynamic global call finalization subclassinit longexp positional
            keywordonlyarg monitoring
        """,
    }
)


def _stdlib_area(name: str) -> str | None:
    """Area of a module; a test belongs where what it tests belongs."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        area = _STDLIB.get(prefix) or _STDLIB.get(prefix.strip("_"))
        if area is not None:
            return area
    if parts[0] != "test":
        return None
    for part in parts[1:]:
        subject = part.strip("_").removeprefix("test_").strip("_").split("_")
        for length in range(len(subject), 0, -1):
            head = "_".join(subject[:length])
            area = _STDLIB.get(head) or _STDLIB.get(head.rstrip("0123456789"))
            if area is not None:
                return area
    return None


def _stdlib_roots(asker: str) -> dict[str, Path]:
    folder = Path(sysconfig.get_path("stdlib"))
    if not (folder / "os.py").is_file():
        raise DataError(
            f"{asker}: no source files in {folder} (a zipped or frozen library?); "
            "use a Python that comes with its library as .py files"
        )
    roots = {}
    for name in sorted({*sys.stdlib_module_names, "test"}):
        for path in (folder / name, folder / f"{name}.py"):
            if path.is_file() or (path / "__init__.py").is_file():
                roots[name] = path
                break
    return roots


@lru_cache(maxsize=2)
def _read_once(roots: tuple[tuple[str, Path], ...]) -> tuple[dict[str, _Module], int]:
    """Parsed once a process, for all that is made of it: it takes seconds. Callers change nothing."""
    return _read_modules(dict(roots), _is_stdlib_fixture)


def _apart(roots: Mapping[str, Path]) -> Iterator[tuple[tuple[str, Path], ...]]:
    """The library and its tests, which are more than half of the work and not always wanted."""
    yield tuple((name, path) for name, path in roots.items() if name != "test")
    yield tuple((name, path) for name, path in roots.items() if name == "test")


def stdlib_sources(asker: str) -> Mapping[str, _Module]:
    """The modules of the running Python's library by dotted name, without the package ``test``.

    Args:
        asker: the data set, for messages.

    Raises:
        DataError: the library is not there as source files.
    """
    library, _ = _apart(_stdlib_roots(asker))
    return MappingProxyType(_read_once(library)[0])


@lru_cache(maxsize=1)
def _stdlib_graph(library: tuple[tuple[str, Path], ...], tests: tuple[tuple[str, Path], ...]) -> Data:
    read = [_read_once(library), _read_once(tests)]
    modules = dict(sorted({**read[0][0], **read[1][0]}.items()))
    return _graph(modules, sum(unparsed for _, unparsed in read), _stdlib_area)


def _stdlib(files: Files) -> Graphs:
    graph = copy.deepcopy(_stdlib_graph(*_apart(_stdlib_roots("python-stdlib"))))
    graph.packages = {"python": platform.python_version()}
    return graph


def _is_stdlib_fixture(name: str) -> bool:
    return name in {"idlelib.idle_test", "lib2to3.tests"}


@lru_cache(maxsize=1)
def _packages_graph(roots: tuple[tuple[str, Path], ...]) -> Data:
    """Parsed once a process: it takes seconds, and a bench asks in every cell. Callers take copies."""
    return source_graph(dict(roots), _subject, skip=_is_foreign)


# Subjects across packages: the longest prefix counts.
_SUBJECTS = _by_module(
    {
        "graphs and networks": """
            networkx scipy.sparse.csgraph torch_geometric.utils torch_geometric.sampler torch_geometric.data
            torch_geometric.transforms torch_geometric.edge_index torch_geometric.index torch_geometric.metrics
        """,
        "files and collections": """
            networkx.readwrite scipy.io scipy.datasets sklearn.datasets torch_geometric.datasets torch_geometric.io
            torch_geometric.loader numpy.lib.npyio numpy.lib._npyio_impl numpy.lib.format numpy.lib._format_impl
            numpy.lib._iotools numpy.lib._datasource torch_geometric.data.download torch_geometric.data.extract
            torch_geometric.data.on_disk_dataset torch_geometric.data.database torch_geometric.data.dataset
            torch_geometric.data.in_memory_dataset torch_geometric.data.makedirs filelock platformdirs
        """,
        "statistics and probability": """
            scipy.stats scipy.special scipy.odr numpy.random numpy.lib._histograms_impl sklearn.covariance
            sklearn.mixture sklearn.naive_bayes sklearn.gaussian_process sklearn.metrics sklearn.isotonic
            networkx.generators.random_graphs
        """,
        "arrays and linear algebra": """
            numpy networkx.linalg scipy.linalg scipy.sparse scipy.spatial sklearn.decomposition
            sklearn.cross_decomposition sklearn.random_projection sklearn.manifold
        """,
        "optimisation and calculus": """
            scipy.optimize scipy.integrate scipy.interpolate scipy.differentiate scipy.constants sklearn._loss
            sklearn.linear_model
        """,
        "signals and images": """
            scipy.signal scipy.fft scipy.fftpack scipy.ndimage numpy.fft sklearn.feature_extraction
            torch_geometric.visualization
        """,
        "learning machines": """
            sklearn scipy.cluster torch_geometric.nn torch_geometric.explain torch_geometric.contrib
            torch_geometric.llm torch_geometric.graphgym torch_geometric.distributed
        """,
        "terminals and types": """
            rich typer click pydantic numpy._typing numpy.typing numpy.dtypes torch_geometric.typing
            sklearn.utils._param_validation
        """,
        "building and plumbing": """
            numpy.distutils numpy.f2py numpy._utils numpy.testing numpy.ctypeslib numpy._pyinstaller scipy._lib
            scipy._build_utils sklearn._build_utils sklearn.utils sklearn.callback sklearn.frozen sklearn.experimental
            sklearn._config networkx.utils networkx.lazy_imports torch_geometric.testing torch_geometric.profile
            torch_geometric.inspector torch_geometric._compile torch_geometric.warnings torch_geometric.deprecation
            torch_geometric.config_store torch_geometric.resolver torch_geometric.debug torch_geometric.experimental
            torch_geometric.backend pydantic.v1 pydantic._internal
        """,
    }
)
# Import name to distribution. torch is left out: most of its 2,300 modules belong to its compiler.
_DISTRIBUTIONS = {
    "click": "click",
    "filelock": "filelock",
    "networkx": "networkx",
    "numpy": "numpy",
    "platformdirs": "platformdirs",
    "pydantic": "pydantic",
    "rich": "rich",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "torch_geometric": "torch_geometric",
    "typer": "typer",
}
_FOREIGN = re.compile(r"tests?|conftest|externals|_external|_vendor|array_api_.*")


def _subject(name: str) -> str | None:
    return _area(name, _SUBJECTS)


def _is_foreign(name: str) -> bool:
    return _FOREIGN.fullmatch(name.rpartition(".")[2]) is not None


def _packages(files: Files) -> Graphs:
    roots, versions = {}, {}
    for name, distribution in _DISTRIBUTIONS.items():
        found = importlib.util.find_spec(name)
        folders = list(found.submodule_search_locations or ()) if found is not None else []
        if not folders or not (Path(folders[0]) / "__init__.py").is_file():
            continue
        roots[name] = Path(folders[0])
        versions[name] = importlib.metadata.version(distribution)
    if not roots:
        raise DataError("python-packages: none of the packages is installed as source files")
    graph = copy.deepcopy(_packages_graph(tuple(roots.items())))
    graph.packages = versions
    return graph


_GROUPED = "The content depends on what is installed, so results are comparable only at the same fingerprint."

PYTHON_STDLIB = DatasetSpec(
    name="python-stdlib",
    title="Python standard library",
    layouts=(Layout(read=_stdlib),),
    text=True,
    counts=None,
    licence="PSF-2.0",
    citation="Python Software Foundation. The Python Standard Library. docs.python.org/3/library.",
    source="the library of the running Python",
    note=(
        "Modules of the standard library and its tests; an edge is an import, the features are words of "
        f"docstrings and of names, the label is the area (ten, after the library reference). {_GROUPED}"
    ),
    traps=(
        _GROUPED,
        "Some distributors ship Python without its tests: less than half the nodes are left.",
        "About 4 % of the modules belong to no area (label -1); 7 % have no word of the vocabulary (rows of zeros).",
    ),
)

PYTHON_PACKAGES = DatasetSpec(
    name="python-packages",
    title="Python packages",
    layouts=(Layout(read=_packages),),
    text=True,
    counts=None,
    licence="BSD, MIT and similar, by package",
    citation="The authors of the packages in data.packages.",
    source="the packages graphcl depends on, as installed",
    note=(
        "Modules of numpy, scipy, scikit-learn, networkx, PyTorch Geometric, pydantic, rich and others, without "
        "tests (data.packages holds the versions found); an edge is an import, the features are words of "
        f"docstrings and of names, the label is the subject (nine, across packages). {_GROUPED}"
    ),
    traps=(_GROUPED, "Half the labels follow from the package alone; imports rarely cross packages."),
)
