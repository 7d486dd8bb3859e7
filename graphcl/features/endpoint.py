"""Requests to OpenAI-compatible endpoints: what is tried again, what is not, at which pace and for how much.

The key comes from an environment variable whose name is a setting; it is handed to the client and kept nowhere else:
not in a setting, a message, a record or the cache.
"""

import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

import numpy as np

from graphcl.config import Config, NonNegative, Positive, Size
from graphcl.errors import EndpointError, MissingExtraError, RequestError
from graphcl.features.row_cache import RowCache
from graphcl.features.text_encoder import Encoded, TextEncoder

__all__ = ["Endpoint", "EndpointClient", "EndpointEncoder", "Spending", "UnusableAnswersError"]

T = TypeVar("T")

_LONGEST_WAIT, _LONGEST_ASKED = 60.0, 600.0
"""Seconds between two tries at most, and where the server asks for more."""


class UnusableAnswersError(EndpointError):
    """An endpoint that answers, and never what it was asked for."""


class _BadAnswerError(Exception):
    """An answer that is not what was asked for; asking again may help."""


@dataclass(frozen=True, kw_only=True)
class Endpoint(Config):
    """Where an OpenAI-compatible server is, and how it is treated.

    Args:
        url: its base address, such as ``http://localhost:8000/v1``.
        key_variable: the environment variable that holds the key; a server that wants none need not have one.
        timeout: seconds after which a request without an answer is given up and sent again.
        tries: how often a request is sent at most.
        wait: seconds before the second try on average, where the server does not say how long; longer each time.
        per_minute: requests that are sent in a minute at most; ``None`` is no limit.
        price: of a million tokens, in any currency; 0 counts tokens only.
        budget: tokens that may be spent on one cache, over all runs that fill it; a request that could pass it is not
            sent. A request counts what the server says, or at the most it can have been where it says nothing or the
            line is cut. ``None`` is no limit.

    Raises:
        RequestError: an address that is none, or that has a name and password in it.

    Example:
        >>> Endpoint(url="http://localhost:8000/v1", budget=1_000_000).tries
        8
    """

    url: str = ""
    key_variable: str = "OPENAI_API_KEY"
    timeout: Positive = 60.0
    tries: Size = 8
    wait: Positive = 0.5
    per_minute: Positive | None = None
    price: NonNegative = 0.0
    budget: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.url:
            return
        # what may hold a secret is not repeated
        if any(mark in self.url for mark in "@?#"):
            raise RequestError("Endpoint.url holds more than an address; a key belongs into the environment variable")
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            sound = False
        if not sound:
            raise RequestError(f"Endpoint.url = '{self.url}': write it as https://host/v1")


@dataclass
class Spending:
    """What was sent and counted.

    Args:
        requests: sent, failed ones as well.
        retries: of these, sent again.
        tokens: that the endpoint has counted.
    """

    requests: int = 0
    retries: int = 0
    tokens: int = 0


@cache
def _client(url: str, key: str, timeout: float) -> Any:
    if importlib.util.find_spec("openai") is None or importlib.util.find_spec("tenacity") is None:
        raise MissingExtraError("openai", "llm")
    import openai

    # tries are counted here, where an answer that cannot be used is one too
    return openai.OpenAI(base_url=url, api_key=key or "none", timeout=timeout, max_retries=0)


@dataclass
class EndpointClient:
    """Sends requests one after the other until each is answered as it should be.

    Args:
        endpoint: where to.
        cache: where the answers go: it keeps count of the tokens of all runs.
        spending: what this client has sent.
    """

    endpoint: Endpoint
    cache: RowCache
    spending: Spending = field(default_factory=Spending)
    _next: float = field(default=0.0, repr=False)

    @property
    def _key(self) -> str:
        key = os.environ.get(self.endpoint.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise RequestError(
                f"the key in {self.endpoint.key_variable} holds characters that no key has; set it again"
            )
        return key

    def ask(self, send: Callable[[Any], Any], read: Callable[[Any], T], *, most: int, unusable: int = 0) -> T:
        """Send a request; ``read`` makes the result of the JSON that comes, or raises ValueError.

        Args:
            send: calls a method of ``with_raw_response`` of the client that it is given.
            read: the check of the answer.
            most: tokens that the request can cost at most.
            unusable: after so many answers that cannot be used no further is asked for; 0 is no such limit.

        Raises:
            RequestError: the endpoint refuses what was asked (a wrong key, an unknown model): no second try.
            EndpointError: no usable answer after all tries, or the budget could be passed. What was answered before
                is kept.
        """
        if not self.endpoint.url:
            raise RequestError(
                "the address of the endpoint is empty; give endpoint.url, such as http://localhost:8000/v1"
            )
        client = _client(self.endpoint.url, self._key, self.endpoint.timeout)
        import openai
        import tenacity

        retrying = tenacity.Retrying(
            stop=_Enough(self.endpoint.tries, unusable),
            wait=self._wait,
            retry=tenacity.retry_if_exception(_worth_another_try),
            before_sleep=self._count_retry,
            reraise=True,
        )
        try:
            return retrying(self._once, client, send, read, most)
        except (openai.APIError, _BadAnswerError) as error:
            raise self._refusal(error) from None

    def _once(self, client: Any, send: Callable[[Any], Any], read: Callable[[Any], T], most: int) -> T:
        self._afford(most)
        now = time.monotonic()
        time.sleep(max(0.0, self._next - now))
        self._next = max(now, self._next) + (60 / self.endpoint.per_minute if self.endpoint.per_minute else 0.0)
        self.spending.requests += 1
        import openai

        try:
            answer = send(client).http_response
        except openai.APIConnectionError:
            # it may have been worked on, and paid, before the line was cut
            self._count(most)
            raise
        content = _read_json(answer.content)
        # an answer that cannot be used is paid as well; one that does not say how much, at the most it can have been
        self._count(_counted(content, most))
        try:
            return read(content)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            # what came may hold anything: it is not shown
            raise _BadAnswerError(f"its answer was not what was asked for ({type(error).__name__})") from None

    def _count(self, tokens: int) -> None:
        self.spending.tokens += tokens
        self.cache.count(tokens)

    def _afford(self, most: int) -> None:
        budget, spent = self.endpoint.budget, self.cache.spent()
        if budget is not None and spent + most > budget:
            raise EndpointError(
                f"{spent} of {budget} tokens are spent and the next request could take {most}; what was answered is in "
                "the cache: raise endpoint.budget to go on"
            )

    def _wait(self, state: Any) -> float:
        """As long as the server asks for, else longer each time and never the same."""
        import tenacity

        headers = getattr(getattr(state.outcome.exception(), "response", None), "headers", {})
        try:
            asked = float(headers.get("retry-after", ""))
        except ValueError:
            return tenacity.wait_random_exponential(multiplier=2 * self.endpoint.wait, max=_LONGEST_WAIT)(state)
        return min(max(asked, 0.0), _LONGEST_ASKED) if math.isfinite(asked) else self.endpoint.wait

    def _count_retry(self, state: Any) -> None:
        self.spending.retries += 1

    def _refusal(self, error: Exception) -> Exception:
        import openai

        said = " ".join(str(error).split())
        if self._key:
            said = said.replace(self._key, "***")
        said = said[:300]
        url = self.endpoint.url
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return RequestError(
                f"{url} refuses the key in {self.endpoint.key_variable}; set the variable to a valid one"
            )
        if isinstance(error, openai.APIStatusError) and not _worth_another_try(error):
            return RequestError(f"{url} refuses the request: {said}")
        kind = UnusableAnswersError if isinstance(error, _BadAnswerError) else EndpointError
        return kind(
            f"{url} gave no usable answer in {self.endpoint.tries} tries ({said}); what was answered before is in the "
            "cache: run it again to go on"
        )


class _Enough:
    """Stops after so many tries, or after so many answers that could not be used (0: whatever their number)."""

    def __init__(self, tries: int, unusable: int) -> None:
        self.tries, self.left = tries, unusable or math.inf

    def __call__(self, state: Any) -> bool:
        self.left -= isinstance(state.outcome.exception(), _BadAnswerError)
        return bool(state.attempt_number >= self.tries or self.left <= 0)


def _worth_another_try(error: BaseException) -> bool:
    import openai

    if isinstance(error, openai.APIStatusError):
        if getattr(error, "code", None) == "insufficient_quota":
            return False
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError | _BadAnswerError)


def _read_json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _counted(content: Any, most: int) -> int:
    usage = content.get("usage") if isinstance(content, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if isinstance(total, int) and total > 0 else most


@dataclass(frozen=True, kw_only=True)
class EndpointEncoder(TextEncoder):
    r"""Vectors that an OpenAI-compatible endpoint makes of texts (``POST /embeddings``).

    Each answer is checked (a finite vector of one width for each text, in the order of the indices it states) and
    stored before the next request is sent: nothing is paid twice, and whoever is killed loses one batch.

    Args:
        model: name of the model at the endpoint.
        endpoint: the server, and how it is treated.
        dimensions: width to ask for, where the model can be cut; ``None`` takes its own.
        max_length: characters of a text that are sent; more are cut off.
        unit: ``text`` or ``sentences``.
        most: sentences of a text that are read.
        batch_size: texts of one request.

    Raises:
        MissingExtraError: openai or tenacity is not installed.
        RequestError: no address or model, or the endpoint refuses the request or the key.
        EndpointError: no usable answer, or the budget is spent.

    Reference:
        Neelakantan et al., Text and code embeddings by contrastive pre-training, 2022.

    Example:
        >>> EndpointEncoder(model="text-embedding-3-small", endpoint=Endpoint(url="http://localhost:8000/v1")).batch_size
        64
    """

    model: str = ""
    endpoint: Endpoint = Endpoint()
    dimensions: Size | None = None
    max_length: Size = 8000
    batch_size: Size = 64

    by_batch: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """The model and where it is; a key is no part of it."""
        if not self.model:
            raise RequestError("EndpointEncoder.model is empty; give the name of a model at the endpoint")
        return {
            "source": type(self).__name__,
            "url": self.endpoint.url,
            "model": self.model,
            "dimensions": self.dimensions,
            "max_length": self.max_length,
        }

    def start(self, cache: RowCache) -> Callable[[Sequence[str]], Encoded]:
        """One request for each batch; tokens that earlier runs have spent count towards the budget."""
        client = EndpointClient(self.endpoint, cache)
        more = {} if self.dimensions is None else {"dimensions": self.dimensions}

        def encode(texts: Sequence[str]) -> Encoded:
            # half a character cannot be sent
            given = [text[: self.max_length].encode("utf-8", "replace").decode() for text in texts]
            before = replace(client.spending)

            def send(server: Any) -> Any:
                return server.embeddings.with_raw_response.create(
                    model=self.model, input=given, encoding_format="float", **more
                )

            # a token has one byte at least
            most = sum(len(text.encode()) + 2 for text in given)
            vectors = client.ask(send, lambda content: _vectors(content, len(given), self.dimensions), most=most)
            spent = client.spending
            tokens = spent.tokens - before.tokens
            return Encoded(vectors, spent.retries - before.retries, tokens, tokens * self.endpoint.price / 1e6)

        return encode


def _vectors(content: Any, count: int, width: int | None) -> np.ndarray:
    rows = content["data"]
    if sorted(row["index"] for row in rows) != list(range(count)):
        raise ValueError("not one vector for each text")
    vectors = np.array([row["embedding"] for row in sorted(rows, key=lambda row: row["index"])], dtype=np.float32)
    fits = vectors.ndim == 2 and vectors.shape[1] == (width or max(1, vectors.shape[1]))
    if not fits or not np.isfinite(vectors).all():
        raise ValueError("no finite vectors of one width")
    return vectors
