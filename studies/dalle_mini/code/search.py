"""Stage dalle_mini/search: short trainings at several peak learning rates → build/dalle_mini_search/metrics.json."""

from functools import partial
from pathlib import Path

import numpy as np
import optax

from lib.data.captions import Captions, check_tokens
from lib.data.store import write_json
from lib.models import dalle_mini
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training.dalle_mini import DalleMiniTrainee, evaluate
from lib.training.loop import fit
from lib.training.mesh import agree, is_first, make_mesh
from lib.training.optimizers import optimizer
from lib.training.order import BatchOrder
from studies.dalle_mini.code.settings import Params
from studies.dalle_mini.code.train import TEXT, interval, load_pictures, model_config, use_devices

OUT = Path("build/dalle_mini_search")


def run(params: Params) -> None:
    """Trains the model of section dalle_mini at every rate from the same start, and measures each on val."""
    settings, search = params.dalle_mini, params.dalle_mini_search
    use_devices(params)
    text = TextTokenizer.load(TEXT)
    encode = partial(text.encode, length=params.text.length)
    pictures = {split: load_pictures(params, split) for split in ("train", "val")}
    tokens = {split: found for split, (found, _) in pictures.items()}
    captions = {split: Captions(found, encode) for split, (_, found) in pictures.items()}
    shape = model_config(params, text.vocabulary, text.pad_id, tokens["train"].shape[1])
    model, initial = dalle_mini.create(shape, params.seed)
    for split in tokens:
        check_tokens(tokens[split], len(captions[split]), model.config.image_length, model.config.codes)
    # Updates are proportional to the peak. With the peak in the optimizer's state, one compiled program serves all.
    mesh = make_mesh(model=settings.model_devices)
    adam_rate = 1.0 if search.optimizer == "muon" else None
    unit = optimizer(search.optimizer, 1.0, search.warmup, search.steps, settings.decay, adam_rate, mesh)
    scaled = optax.chain(unit, optax.inject_hyperparams(optax.scale)(step_size=1.0))
    where, found = training("dalle_mini/search", params), []
    for rate in search.learning_rates:
        trainee = DalleMiniTrainee(
            model,
            initial,
            captions["train"],
            tokens["train"],
            scaled,
            settings.caption_dropout,
            params.seed,
            mesh,
            settings.accumulation,
        )
        set_rate(trainee, rate)
        part = where.part(f"{rate:g}")
        history = fit(
            trainee,
            name=f"dalle_mini/search {rate:g}",
            steps=search.steps,
            order=BatchOrder(len(tokens["train"]), settings.batch_size, params.seed),
            checkpoint=part.checkpoint,
            fingerprint=part.fingerprint,
            first=is_first(),
            agree=agree,
        )
        nats = evaluate(model, trainee.params, captions["val"].first(), tokens["val"], settings.batch_size, mesh)[0]
        random = np.random.Generator(np.random.PCG64(params.seed))
        found.append({"learning_rate": rate, "val_nats": interval(nats, random, params), "history": history})
    best = min(found, key=lambda entry: entry["val_nats"]["value"])
    report = {"optimizer": search.optimizer, "steps": search.steps, "best": best["learning_rate"], "runs": found}
    if is_first():
        OUT.mkdir(parents=True, exist_ok=True)
        write_json(OUT / "metrics.json", report)


def set_rate(trainee: DalleMiniTrainee, rate: float) -> None:
    """Writes the peak learning rate into the optimizer's state."""
    arrays = trainee.state()
    (name,) = [name for name in arrays if name.endswith("step_size")]
    trainee.load_state(arrays | {name: np.asarray(rate, arrays[name].dtype)})
