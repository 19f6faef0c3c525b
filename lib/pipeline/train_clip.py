"""Stage train_clip: trains the small CLIP on any captioned data folder → build/clip/."""

from pathlib import Path

import numpy as np
import torch

from lib.config import ClipParams, Params
from lib.data.store import Split, read_meta, write_json
from lib.evidence.statistics import bootstrap_mean
from lib.models import clip as clips
from lib.models.clip import Clip, ClipConfig
from lib.ownership import fresh
from lib.pipeline import stage
from lib.text import TextTokenizer
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.supervised import Supervised
from lib.weights.torch_state import generator

DATA, TOKENIZER, OUT = Path("data"), Path("build/text/tokenizer.json"), Path("build/clip")
CANDIDATES = 256  # pictures that retrieval chooses among
SHIFT = 2  # pixels that a training picture moves, at most, in each direction


class Captions:
    """All captions of a split, to draw one for each picture of a batch; they become tokens when they are drawn.

    Args:
        captions: N dicts language → captions.
        languages: those to use.
        encode: captions → ids [n, L].
    """

    def __init__(self, captions: list[dict[str, list[str]]], languages: list[str], encode):
        self.languages, self.encode = languages, encode
        self.texts, first, count = [], [], []
        for entry in captions:
            first.append([])
            count.append([])
            for language in languages:
                first[-1].append(len(self.texts))
                count[-1].append(len(entry[language]))
                self.texts += entry[language]
        self.first, self.count = np.array(first), np.array(count)  # [N, languages]

    def draw(self, indices: np.ndarray, random: np.random.Generator, language: str | None = None) -> np.ndarray:
        """One caption for each picture in `indices`, int64 [B, L]: in one language, or in a random one each."""
        if language is None:
            column = random.integers(len(self.languages), size=len(indices))
        else:
            column = np.full(len(indices), self.languages.index(language))
        count = self.count[indices, column]
        chosen = self.first[indices, column] + random.integers(count)
        return np.asarray(self.encode([self.texts[number] for number in chosen]), np.int64)


def trainee(params: ClipParams, seed: int, config: ClipConfig, images: np.ndarray, captions: Captions) -> Supervised:
    """CLIP on pictures uint8 [N, 64, 64, 3] and their captions."""
    model = Clip(config, generator(seed, 0))

    def loss(step: int, indices: np.ndarray) -> torch.Tensor:
        random = np.random.Generator(np.random.PCG64([seed, step]))
        tokens = torch.from_numpy(captions.draw(indices, random))
        tokens = tokens[:, : int((tokens != clips.PAD).sum(dim=1).max())]  # [B, L] -> [B, longest]: padding costs time
        # One shift for the whole batch: as good as one for each picture over many batches, and much cheaper.
        batch = clips.as_input(np.asarray(images[indices]))
        down, right = random.integers(-SHIFT, SHIFT + 1, size=2)
        batch = shift(batch, int(down), int(right))
        return clips.contrastive_loss(model.image_embedding(batch), model.text_embedding(tokens), tokens, model.scale)

    return Supervised(model, loss, params.steps, params.learning_rate, weight_decay=0.05)


def shift(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Moves pictures [B, C, H, W] by whole pixels; the edge is repeated where nothing comes in."""
    height, width = images.shape[2:]
    rows = (torch.arange(height) - down).clamp(0, height - 1)
    columns = (torch.arange(width) - right).clamp(0, width - 1)
    return images[:, :, rows][:, :, :, columns]


def retrieval(images: np.ndarray, texts: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Hits of retrieval among the given pairs, both ways.

    A retrieved picture counts when its caption has the same tokens as the query: equal captions cannot be told apart.

    Args:
        images, texts: unit vectors [N, E]; row i of both belongs together.
        tokens: the captions, int [N, L].

    Returns:
        {"text_to_image@1", "image_to_text@1", …@10}: bool [N].
    """
    similarity = texts @ images.T  # [captions, pictures]
    same = (tokens[:, None] == tokens[None]).all(axis=2)  # [N, N]
    hits = {}
    for name, scores in (("text_to_image", similarity), ("image_to_text", similarity.T)):
        best = np.argsort(-scores, axis=1, kind="stable")
        found = np.take_along_axis(same, best, axis=1)  # [N, N], is the k-th best right?
        for k in (1, 10):
            hits[f"{name}@{k}"] = found[:, :k].any(axis=1)
    return hits


def measure(model: Clip, images: np.ndarray, captions: Captions, resamples: int, seed: int) -> dict:
    """Recall at 1 and 10 among 256 held-out pictures, for each language, with bootstrap intervals over the queries.

    As many disjoint sets of 256 as the split holds are used; a split with fewer pictures makes one smaller set.
    """
    random = np.random.Generator(np.random.PCG64([seed, 1]))
    order = random.permutation(len(images))
    size = min(CANDIDATES, len(images))
    sets = [order[start : start + size] for start in range(0, len(images) - size + 1, size)]
    vectors = clips.embed_images(model, images)
    report = {"candidates": size, "queries": size * len(sets)}
    for language in captions.languages:
        hits: dict[str, list[np.ndarray]] = {}
        for chosen in sets:
            tokens = captions.draw(chosen, random, language)
            texts = clips.embed_texts(model, tokens)
            for name, values in retrieval(vectors[chosen], texts, tokens).items():
                hits.setdefault(name, []).append(values)
        report[language] = {
            name: vars(bootstrap_mean(np.concatenate(values), random, resamples=resamples))
            for name, values in hits.items()
        }
    return report


def run(params: Params) -> None:
    """Trains on the train split, measures retrieval on the test split, writes model.safetensors and metrics.json."""
    languages = read_meta(DATA)["languages"]
    text, length = TextTokenizer.load(TOKENIZER), params.text.length
    train, test = Split.open(DATA, "train"), Split.open(DATA, "test")

    def encode(captions: list[str]) -> np.ndarray:
        return text.encode(captions, length)

    p = params.clip
    config = ClipConfig(
        text.vocabulary, length, p.width, p.embedding, p.text_width, p.text_layers, p.text_heads
    )  # fmt: skip
    learner = trainee(p, params.seed, config, train.images(64), Captions(train.captions, languages, encode))
    where = stage.training("train_clip", params)
    history = fit(
        learner,
        name="train_clip",
        steps=p.steps,
        order=BatchOrder(len(train), min(p.batch_size, len(train)), params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    model = learner.model.eval()
    held_out = measure(
        model, test.images(64), Captions(test.captions, languages, encode), params.evaluation.bootstrap, params.seed
    )
    fresh(OUT)
    clips.save(model, OUT)
    write_json(OUT / "metrics.json", {"retrieval": held_out, "history": history})
