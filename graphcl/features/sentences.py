"""Texts cut into sentences, without a model: where a full stop ends one, and where lists and code break off."""

import itertools
import re

__all__ = ["split_sentences"]

# after the mark that ends a sentence, and before what begins one; a semicolon or an empty line separates in any case
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|\s*;\s*|\n\s*\n\s*")
# what ends in a full stop and no sentence
_SHORTENED = re.compile(
    r"(?:^|[\s(\[])(?:e\.g|i\.e|cf|vs|etc|al|Fig|fig|Eq|eq|Sec|Dr|Mr|Ms|Mrs|Prof|St|No|resp|approx|[A-Z])\.$"
)


def split_sentences(text: str, longest: int = 60) -> list[str]:
    """The sentences of a text, in order; pages and lists come apart at semicolons and empty lines.

    Args:
        text: anything.
        longest: words of a sentence at most; a longer one is cut into pieces of about equal length.

    Returns:
        Sentences with single blanks between their words; none for a text that says nothing.

    Example:
        >>> split_sentences("Nets learn, e.g. Hopfield nets. They forget!  Home page; Teaching")
        ['Nets learn, e.g. Hopfield nets.', 'They forget!', 'Home page', 'Teaching']
    """
    pieces: list[str] = []
    joined = ""
    for piece in _END.split(text):
        joined = f"{joined} {piece}" if joined else piece
        # "et al. Smith": the mark before the break ends no sentence
        if _SHORTENED.search(joined.rstrip()):
            continue
        pieces.append(joined)
        joined = ""
    pieces.append(joined)
    sentences = []
    for piece in pieces:
        words = piece.split()
        parts = -(-len(words) // longest)
        cuts = [round(number * len(words) / parts) for number in range(parts + 1)] if parts else []
        sentences += [" ".join(words[a:b]) for a, b in itertools.pairwise(cuts)]
    return sentences
