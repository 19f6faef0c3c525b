"""Whether SJD2's fine-tuning recipe saves passes on a model of transformers: python -m huggingface.benchmark →
results/benchmarks/sjd2_finetuning.*; minutes on one core.

Not a stage of the pipeline, and no claim rests on it: a smoke study of huggingface/tuning.py. Every seed is a
training of its own: a tiny Llama-shaped model learns Scenes' pictures of 8 × 8 tokens, each the colour nearest to that
of its square, from their captions; 200 updates of the recipe tune it; then both draw the same captions.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from huggingface.decoding import Decoding
from huggingface.models import folder as folders
from huggingface.models.family import Family
from huggingface.models.layout import Layout
from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from huggingface.noisy import NoisyReader
from huggingface.shards import write
from huggingface.tuning import Settings, tune
from lib.decoding.noise_levels import levels
from lib.errors import EaselError, command_line
from lib.evidence import tables
from lib.evidence.inference import t_interval
from lib.hardware import machine
from lib.progress import Progress
from lib.scenes.draw import draw
from lib.scenes.make import example
from lib.scenes.vocabulary import BACKGROUND_SHADES, COLOUR_RGB, GRID
from lib.training.order import BatchOrder
from lib.weights.torch_state import generator

OUT = Path("results/benchmarks/sjd2_finetuning")
SIDE = 8  # of a picture, in tokens
PALETTE = np.array([*COLOUR_RGB.values(), *(shade for pair in BACKGROUND_SHADES.values() for shade in pair)])  # [V, 3]
SCENES = SimpleNamespace(
    seed=0, max_objects=1, lattice=4, backgrounds={"plain": 1, "gradient": 1, "striped": 1}, textures={"solid": 1}
)
PICTURES, BATCH, UPDATES, DRAWN = 800, 16, 400, 32
RATE = 3e-3  # of the first training's AdamW, falling to 0
SEEDS = range(5)
# 200 updates; rates, levels and stretches of noise for a model and pictures as small as these.
RECIPE = dict(epochs=4, batch=BATCH, learning_rate=1e-3, denoising_steps=(5,), noisy_run=(8, 64))
WINDOW = SIDE**2
DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "SJD": ("sjd", {"window": WINDOW, "initial": "uniform"}),
    "SJD2, lossless": ("sjd2", {"window": WINDOW, "keep": float("inf")}),
    "SJD2": ("sjd2", {"window": WINDOW}),
}
SPECIAL = {"<pad>": 0, "<s>": 1, "<boi>": 2, "<unk>": 3}


def pictures(split: str, count: int) -> tuple[list[str], np.ndarray]:
    """Captions and codes [count, SIDE²] of Scenes' first pictures of a split."""
    texts, codes = [], np.empty((count, SIDE**2), np.uint8)
    step = GRID // SIDE
    for index in range(count):
        scene, captions = example(split, index, SCENES)
        seen = draw(scene, GRID)[step // 2 :: step, step // 2 :: step].reshape(-1, 1, 3).astype(np.int64)
        codes[index] = ((seen - PALETTE) ** 2).sum(axis=2).argmin(axis=1)  # [N, 1, 3] and [V, 3] → [N]
        texts.append(captions["en"][0])
    return texts, codes


def words_of(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of the words of some texts."""
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text)})
    vocabulary = SPECIAL | {word: len(SPECIAL) + number for number, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = splitter
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", unk_token="<unk>")


def untrained(words: int, seed: int) -> Family:
    """A Llama-shaped model of so many words and the palette."""
    config = LlamaConfig(
        vocab_size=words + len(PALETTE),
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        pad_token_id=SPECIAL["<pad>"],
        bos_token_id=SPECIAL["<s>"],
        eos_token_id=None,
        tie_word_embeddings=False,
        image_vocabulary={
            "first": words,
            "codes": len(PALETTE),
            "rows": SIDE,
            "columns": SIDE,
            "start": [SPECIAL["<boi>"]],
        },
    )
    model, random = LlamaForCausalLM(config), generator(seed)
    for weight in model.parameters():
        if weight.ndim == 2:
            weight.data.normal_(std=0.1, generator=random)
    return Family(model)


def prompts_of(family: Family, words: PreTrainedTokenizerBase, layout: Layout, texts: Sequence[str]) -> Prompts:
    """Of captions."""
    return Prompts.of([family.prompt(family.config, words, text, layout) for text in texts])


def train(family: Family, words: PreTrainedTokenizerBase, texts: list[str], codes: np.ndarray, seed: int) -> None:
    """Ordinary training, in place: the recipe's loss with no noise, which is that of any such model."""
    layout = family.layout(family.config)
    network, order = NoisyReader(family, layout), BatchOrder(len(texts), BATCH, seed)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.0)
    progress = Progress(f"train {seed}", UPDATES)
    for step in range(UPDATES):
        rows = order.indices(step)
        losses = clean_losses(network, words, [texts[row] for row in rows], codes[rows])
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / UPDATES)
        optimizer.step()
        progress.update(step + 1, loss=float(losses.detach().mean()))


def clean_losses(
    network: NoisyReader, words: PreTrainedTokenizerBase, texts: Sequence[str], codes: np.ndarray
) -> torch.Tensor:
    """Cross-entropy of every token after clean inputs, [B, length]."""
    prompts = prompts_of(network.family, words, network.family.layout(network.family.config), texts)
    tokens = torch.from_numpy(codes.astype(np.int64))
    noise = torch.zeros(*tokens.shape, network.family.config.hidden_size)
    return network(prompts, tokens, torch.zeros_like(tokens), levels(1, "linear"), noise)


def measured(folder: Path, texts: list[str], codes: np.ndarray, seed: int) -> dict[str, float]:
    """Loss of a model's folder on some pictures in nats a token, and mean passes of every decoder on their captions."""
    checked = folders.check(folder)
    family, words, layout = folders.load(checked), folders.load_tokenizer(folder), checked.layout
    with torch.no_grad():
        found = {"loss": float(clean_losses(NoisyReader(family, layout), words, texts, codes).mean())}
    for name, (decoder, options) in DECODERS.items():
        decoding = Decoding(decoder, options, tuned=checked.tuned)
        predictor = HFPredictor(family, prompts_of(family, words, layout, texts), layout, times=decoding.times)
        seeds = [seed * len(texts) + row for row in range(len(texts))]
        found[name] = float(decoding.run(predictor, seeds).passes.float().mean())
    return found


def run(seed: int, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Trains and tunes one model; what is measured before and after tuning."""
    texts, codes = pictures("train", PICTURES)
    words = words_of(texts)
    family = untrained(len(words), seed)
    train(family, words, texts, codes, seed)
    family.model.save_pretrained(folder / "model")
    words.save_pretrained(folder / "model")
    write(folder / "train.tar", zip(texts, codes, strict=True))
    settings = Settings(str(folder / "model"), (str(folder / "train.tar"),), seed=seed, **RECIPE)
    tune(settings, folder / "tuned", at_once=BATCH)
    test = pictures("test", DRAWN)
    return measured(folder / "model", *test, seed), measured(folder / "tuned", *test, seed)


def table(found: Sequence[tuple[dict[str, float], dict[str, float]]]) -> list[dict[str, Any]]:
    """A line for each decoder of either model; `found` as of `run`, a seed each."""
    lines = []
    for number, model in enumerate(("trained", "tuned")):
        values = [pair[number] for pair in found]
        for name in DECODERS:
            passes = [one[name] for one in values]
            saved = [one["SJD"] - one[name] for one in values]
            lines.append(
                {
                    "model": model,
                    "loss": tables.interval(t_interval([one["loss"] for one in values]), 3),
                    "decoder": name,
                    "passes": tables.interval(t_interval(passes), 1),
                    "fewer than SJD": tables.interval(t_interval(saved), 1) if name != "SJD" else None,
                    "by seed": ", ".join(f"{value:.1f}" for value in passes),
                }
            )
    return lines


@command_line
def main(arguments: list[str]) -> None:
    """Command line: runs all seeds and writes the table."""
    if arguments:
        raise EaselError("usage: python -m huggingface.benchmark")
    torch.set_num_threads(1)
    found = []
    for seed in SEEDS:
        with TemporaryDirectory() as folder:
            found.append(run(seed, Path(folder)))
    here = machine()
    for path in tables.write(
        OUT,
        table(found),
        caption="A tiny Llama-shaped model before and after 200 updates of SJD2's fine-tuning: passes until a picture "
        "is complete.",
        source=f"{here['cpu']}, one core, GPU: none.",
        units={"loss": "nats a token"},
        notes=[
            f"Pictures of {SIDE} × {SIDE} tokens, so that decoding one by one takes {SIDE**2} passes. Means over "
            f"{DRAWN} captions of the test split with their 95 % interval over {len(SEEDS)} trainings (Student's). "
            f"Both decoders look at all of a picture; SJD2 takes {RECIPE['denoising_steps'][0]} denoising steps. "
            "Lossless is SJD2 without its keep rule. Before tuning no model reads noise, which SJD2 shows it. The loss "
            "is that after clean inputs, on the pictures of these captions."
        ],
        stage="none: `python -m huggingface.benchmark`",
        sources=["huggingface/benchmark.py", "huggingface/tuning.py", "huggingface/noisy.py"],
        parameters={"training": [PICTURES, BATCH, UPDATES, RATE], "recipe": RECIPE, "seeds": list(SEEDS)},
    ):
        print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
