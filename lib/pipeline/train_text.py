"""Stage train_text: the subword tokenizer, from the training captions of all languages → build/text/."""

import json
from pathlib import Path

from lib.config import Params
from lib.data.store import Split
from lib.text import TextTokenizer

DATA = Path("data")
OUT = Path("build/text")


def run(params: Params) -> None:
    """Writes tokenizer.json and report.json (vocabulary, tokens a caption, captions cut off)."""
    OUT.mkdir(parents=True, exist_ok=True)
    captions = captions_of(Split.open(DATA, "train"))
    everything = (caption for texts in captions.values() for caption in texts)
    tokenizer = TextTokenizer.train(everything, params.text.vocabulary)
    tokenizer.save(OUT / "tokenizer.json")
    report = {"vocabulary": tokenizer.vocabulary, "length": params.text.length, "languages": {}}
    for language, texts in sorted(captions_of(Split.open(DATA, "test")).items()):
        used = (tokenizer.encode(texts, params.text.length) != tokenizer.pad_id).sum(axis=1)  # [N]
        cut = tokenizer.count_truncated(texts, params.text.length)
        if cut:
            print(
                f"note: {cut} of {len(texts)} captions of the test split ({language}) are longer than text.length = "
                f"{params.text.length} tokens and cut off there, in training as well. Raise text.length to keep them.",
                flush=True,
            )
        report["languages"][language] = {
            "captions": len(texts),
            "tokens_a_caption": float(used.mean()),
            "cut_off": cut,
        }
    (OUT / "report.json").write_text(json.dumps(report, indent=1) + "\n")


def captions_of(split: Split) -> dict[str, list[str]]:
    """All captions of a split by language."""
    found: dict[str, list[str]] = {}
    for entry in split.captions:
        for language, texts in entry.items():
            found.setdefault(language, []).extend(texts)
    return found
