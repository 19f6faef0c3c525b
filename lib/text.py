"""Subword tokenizer of the captions, one vocabulary for all their languages.

Byte-pair encoding (Sennrich et al., 2016, arXiv:1508.07909) over characters, with bytes to fall back on
(as SentencePiece does): a character that training did not keep becomes the tokens of its UTF-8 bytes, so nothing is
lost and nothing is "unknown". Byte-level BPE, the other way to that end, would start every Chinese character at three
tokens and spend two merges on each to bring it to one; here a character of the captions is one token from the start.

A merge never crosses a word. Chinese marks none, so its merges stop at two characters, the length of most words: were
"红色圆形" allowed to become one token, a pair of colour and shape held out from training would be spelled unlike every
pair seen there. Digits stand alone.

Captions are lower-cased and brought to Unicode NFKC with single spaces, so that "A Red  circle" and "a red circle", or
full-width and plain punctuation, are the same text.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the library's thread pool; set before it starts

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lib.errors import EaselError

SPECIALS = ("<pad>", "<begin>", "<end>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))  # the names by which the library falls back on bytes
RESERVED = (*SPECIALS, *BYTES)
MINIMUM = len(RESERVED) + 64  # below this hardly a letter would get a token of its own

# A word carries the space before it. Letters and signs never share a piece, so that no piece looks like a token above.
_PIECE = r"\p{Han}+| ?[[\p{L}\p{M}]&&[^\p{Han}]]+| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+| "

_CHINESE_ONLY = pre_tokenizers.Split(Regex(r"\p{Han}+"), behavior="removed", invert=True)
_WITHOUT_CHINESE = pre_tokenizers.Split(Regex(r"\p{Han}+"), behavior="removed")


class TextTokenizer:
    """Captions ↔ token ids: `begin`, the text, `end`, then padding.

    Ids: 0 pad, 1 begin, 2 end, 3–258 bytes, then characters and merges. The empty caption, begin + end, is the null
    caption of classifier-free guidance.
    """

    pad_id, begin_id, end_id = range(3)

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer

    @classmethod
    def train(cls, captions: Iterable[str], vocabulary: int) -> TextTokenizer:
        """Learn at most `vocabulary` tokens from captions of all languages; the same captions give the same tokens.

        Characters come first, the most frequent ones, up to three quarters of what the special and byte tokens leave;
        the rest are merges. Characters and merges that occur once only get no token.

        Raises:
            EaselError: no caption (or only empty ones), or too small a vocabulary.
        """
        if vocabulary < MINIMUM:
            raise EaselError(
                f"text.vocabulary = {vocabulary} is too small: {len(RESERVED)} tokens are special or bytes. "
                f"Set it to {MINIMUM} or more."
            )
        normalizer = _normalizer()
        texts = [text for text in (normalizer.normalize_str(_sound(caption)) for caption in captions) if text]
        if not texts:
            raise EaselError("No captions to train the text tokenizer on: the list is empty, or every caption is.")
        room = vocabulary - len(RESERVED)
        counts = Counter(character for text in texts for character in text)
        # Chosen here because the library's own limit breaks ties at random.
        frequent = sorted((c for c, n in counts.items() if n > 1), key=lambda c: (-counts[c], c))[: room * 3 // 4]
        learner = Tokenizer(models.BPE())
        learner.pre_tokenizer = _pre_tokenizer()
        learner.train_from_iterator(
            (piece for text in texts for piece in _lessons(text)),
            trainers.BpeTrainer(
                vocab_size=room,
                min_frequency=2,
                initial_alphabet=frequent,
                limit_alphabet=len(frequent),
                show_progress=False,
            ),
        )
        learned = json.loads(learner.to_str())["model"]
        tokens = [*RESERVED, *sorted(learned["vocab"], key=learned["vocab"].get)]
        model = models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[tuple(pair) for pair in learned["merges"]],
            byte_fallback=True,
        )
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = _pre_tokenizer()
        tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        return cls(tokenizer)

    @property
    def vocabulary(self) -> int:
        """Number of tokens; fewer than were asked for where the captions offer no more."""
        return self._tokenizer.get_vocab_size()

    def normalise(self, caption: str) -> str:
        """The text that the tokens stand for: what `decode` returns for an untruncated caption."""
        return self._tokenizer.normalizer.normalize_str(_sound(caption)).removeprefix(" ")

    def encode(self, captions: Sequence[str], length: int) -> np.ndarray:
        """Token ids of captions, int32 [N, length]: begin, text, end, padding.

        A text that is too long is cut; the end token stays (`count_truncated` tells how many are).

        Raises:
            EaselError: length below 2, which leaves no room for begin and end.
        """
        _check_length(length)
        ids = np.full((len(captions), length), self.pad_id, dtype=np.int32)  # [N, length]
        for row, pieces in zip(ids, self._pieces(captions), strict=True):
            pieces = pieces[: length - 2]
            row[: len(pieces) + 2] = [self.begin_id, *pieces, self.end_id]
        return ids

    def count_truncated(self, captions: Sequence[str], length: int) -> int:
        """How many of the captions `encode` cuts at this length. Raises EaselError for a length below 2."""
        _check_length(length)
        return sum(len(pieces) + 2 > length for pieces in self._pieces(captions))

    def decode(self, ids: np.ndarray) -> list[str]:
        """Texts of token ids [N, length], each up to its end token.

        Raises:
            EaselError: ids outside the vocabulary.
        """
        texts = []
        for row in np.asarray(ids).tolist():
            if row and not 0 <= min(row) <= max(row) < self.vocabulary:
                raise EaselError(f"Token ids must lie in 0..{self.vocabulary - 1}, got {min(row)}..{max(row)}.")
            text = row[: row.index(self.end_id)] if self.end_id in row else row
            pieces = [piece for piece in text if piece not in (self.pad_id, self.begin_id)]
            texts.append(self._tokenizer.decode(pieces, skip_special_tokens=False))
        return texts

    def save(self, path: Path | str) -> None:
        """Write the tokenizer as the library's JSON; the same tokenizer gives the same bytes."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._tokenizer.to_str(pretty=True) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path | str) -> TextTokenizer:
        """Read a tokenizer that `save` wrote. Raises EaselError when it is missing or is something else."""
        path = Path(path)
        remedy = "Make it again: `make repro`."
        if not path.is_file():
            raise EaselError(f"No text tokenizer at {path}. {remedy}")
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exceptions
            raise EaselError(f"{path} is not a text tokenizer ({error}). {remedy}") from error
        if [tokenizer.id_to_token(index) for index in range(len(RESERVED))] != list(RESERVED):
            raise EaselError(f"{path} is another kind of tokenizer: its first tokens are not ours. {remedy}")
        return cls(tokenizer)

    def _pieces(self, captions: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast([_sound(text) for text in captions])]


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
            # The first word gets a space too, so that it is the same token there as elsewhere.
            normalizers.Replace(Regex(r"\A(?=[^\p{Han}])"), " "),
        ]
    )


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")


def _lessons(text: str) -> Iterator[str]:
    """What merges are learned from: a text without its Chinese, and every two neighbouring Chinese characters."""
    for part, _ in _WITHOUT_CHINESE.pre_tokenize_str(text):
        yield part
    for run, _ in _CHINESE_ONLY.pre_tokenize_str(text):
        yield from map("".join, itertools.pairwise(run))


def _sound(text: str) -> str:
    """Half a surrogate pair, which JSON allows and UTF-8 does not, becomes "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _check_length(length: int) -> None:
    if length < 2:
        raise EaselError(f"text.length = {length} leaves no room for the begin and end tokens; set 2 or more.")
