"""Stage train_tokenizer: trains the image tokenizer on any data folder and measures it → build/tokenizer/<name>/."""

from pathlib import Path

import numpy as np
import torch

from lib.config import EvaluationParams, Params
from lib.data.selection import kept
from lib.data.store import Split, read_meta, write_json
from lib.metrics.image_distance import ClipFeatures, distance
from lib.metrics.reconstruction import reconstruction
from lib.models import clip, vqgan
from lib.models.quantizer import usage
from lib.models.vqgan import VQGAN
from lib.ownership import fresh
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


def run(params: Params, name: str) -> None:
    """Trains the tokenizer `fine` or `coarse` on the train split, measures it on the test split at every size there is.

    Writes weights and metrics.json.
    """
    meta = read_meta(DATA)
    train, test = Split.open(DATA, "train"), Split.open(DATA, "test")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    extractor = clip.load(CLIP)
    p = getattr(params.tokenizer, name)
    seen = train.images(64)
    if p.leave_out:
        seen = np.asarray(seen)[kept(train, p.leave_out)]
    learner = TokenizerTrainee(p, params.seed, seen, extractor.to(device).features, device)
    where = stage.training("train_tokenizer", params, name)
    history = fit(
        learner,
        name="train_tokenizer",
        steps=p.steps,
        order=BatchOrder(len(seen), min(p.batch_size, len(seen)), params.seed),
        checkpoint=where.checkpoint,
        fingerprint=where.fingerprint,
    )
    model = learner.model.eval()
    features = ClipFeatures(extractor.to("cpu"))
    report = {"parameters": sum(weights.numel() for weights in model.parameters()), "history": history}
    for size in meta["image_sizes"]:
        if size in test.lengths:
            numbers = kept(test, p.leave_out, min(params.evaluation.pictures, test.lengths[size]))
            images = np.asarray(test.images(size)[: params.evaluation.pictures])[numbers]
            backgrounds = test.scenes and [test.scenes[number]["background"]["kind"] for number in numbers]
            random = np.random.Generator(np.random.PCG64([params.seed, size]))
            split = "test" if size == 64 else f"test_{size}"
            report[split] = measure(model, images, backgrounds, features, params.evaluation, random)
    out = OUT / name
    fresh(out)
    vqgan.save(model.to("cpu"), out)
    write_json(out / "metrics.json", report)
