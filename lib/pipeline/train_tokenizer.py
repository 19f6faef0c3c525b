"""Stage train_tokenizer: trains the image tokenizer on any data folder and measures it → build/tokenizer/."""

import shutil
from pathlib import Path

import numpy as np
import torch

from lib.config import EvaluationParams, Params
from lib.data.store import Split, read_meta, write_json
from lib.metrics.image_distance import ClipFeatures, distance
from lib.metrics.reconstruction import reconstruction
from lib.models import clip, vqgan
from lib.models.quantizer import usage
from lib.models.vqgan import VQGAN
from lib.pipeline import stage
from lib.training.loop import fit
from lib.training.order import BatchOrder
from lib.training.tokenizer import TokenizerTrainee

DATA, CLIP, OUT = Path("data"), Path("build/clip"), Path("build/tokenizer")


def measure(
    model: VQGAN,
    images: np.ndarray,
    backgrounds: list[str] | None,
    extractor: ClipFeatures,
    evaluation: EvaluationParams,
    generator: np.random.Generator,
) -> dict:
    """Quality of the reconstructions of pictures uint8 [N, S, S, 3], and use of the codebook on them.

    Args:
        backgrounds: the kind of each picture's background, for PSNR by kind; None where that is not known.
        extractor: of the features that rFID is measured in.
    """
    tokens = vqgan.encode_batches(model, images)
    rebuilt = vqgan.decode_batches(model, tokens)
    report, values = reconstruction(images, rebuilt, generator, evaluation.bootstrap)
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(images, rebuilt, strict=True)]
    report["psnr_pooled"] = float(10 * np.log10(255**2 / max(np.mean(errors), 1e-9)))
    report["rfid"] = distance(images, rebuilt, extractor, evaluation.bootstrap, generator)["fid"]
    report |= usage(tokens, model.config["codes"])
    if backgrounds is not None:
        kinds = np.array(backgrounds)
        report["by_background"] = {kind: float(values["psnr"][kinds == kind].mean()) for kind in sorted(set(kinds))}
    return report


def run(params: Params) -> None:
    """Trains on the train split, measures on the test split at every size it has, writes weights and metrics.json."""
    meta = read_meta(DATA)
    train, test = Split.open(DATA, "train"), Split.open(DATA, "test")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extractor = clip.load(CLIP)
    p = params.tokenizer
    learner = TokenizerTrainee(p, params.seed, train.images(64), extractor.to(device).features, device)
    where = stage.training("train_tokenizer", params)
    history = fit(
        learner,
        name="train_tokenizer",
        steps=p.steps,
        order=BatchOrder(len(train), min(p.batch_size, len(train)), params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    model = learner.model.eval()
    features = ClipFeatures(extractor.to("cpu"))
    report = {"parameters": sum(weights.numel() for weights in model.parameters()), "history": history}
    for size in meta["image_sizes"]:
        if size in test.lengths:
            images = np.asarray(test.images(size)[: params.evaluation.pictures])
            backgrounds = test.scenes and [scene["background"]["kind"] for scene in test.scenes[: len(images)]]
            random = np.random.Generator(np.random.PCG64([params.seed, size]))
            name = "test" if size == 64 else f"test_{size}"
            report[name] = measure(model, images, backgrounds, features, params.evaluation, random)
    shutil.rmtree(OUT, ignore_errors=True)
    vqgan.save(model.to("cpu"), OUT)
    write_json(OUT / "metrics.json", report)
