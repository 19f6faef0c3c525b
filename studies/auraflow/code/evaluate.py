"""Stage auraflow/evaluate: pictures that were drawn, and the image tokenizer of all scales → results/<profile>/
auraflow.json and pictures."""

from typing import Any

import numpy as np

from lib.data.store import Split
from lib.evidence.strips import write_strip
from lib.metrics.drawings import Settings
from lib.metrics.image_distance import check_pretrained
from lib.metrics.panel import Accuracy, Panel
from lib.metrics.reconstruction import reconstruction
from lib.models import multi_scale_vqgan
from lib.models.multi_scale_quantizer import usage_by_scale
from lib.ownership import fresh
from lib.scenes.wordings import requirements
from lib.weights import checkpoint
from studies.auraflow.code import claims
from studies.auraflow.code.draw import languages
from studies.auraflow.code.material import DRAWN, HELDOUT, SCALES, SETTINGS, SIZE, folder, objects_asked
from studies.auraflow.code.panels import panel_of
from studies.auraflow.code.reports import Again, Drawings, Drawn, Measured, Results, Run, Scale, Texts, Training
from studies.auraflow.code.settings import Params, seeds_of

SHOWN = 28  # prompts whose pictures are kept, spread over the categories


def run(params: Params) -> None:
    """Measures all runs, and writes what follows from them."""
    check_pretrained(params.evaluation)
    drawings, panel = Drawings.read(DRAWN / "drawings.json"), panel_of(params.evaluation, params.seed)
    report = Measured(
        languages=languages(),
        steps=params.auraflow_search.steps,
        trainings={name: trained(params, name) for name in params.auraflow_trainings},
        scales=scales(params, panel.test),
        runs={name: measured(panel, name, one) for name, one in drawings.runs.items()},
        again={way: drawn_again(panel, way, one) for way, one in drawings.again.items()},
        timings=drawings.timings,
        search=Settings.read(SETTINGS),
    )
    Results(**dict(report), claims=claims.claims(report)).write(params.results / "auraflow.json")
    keep_pictures(params, panel, drawings)


def trained(params: Params, name: str) -> Training:
    """What the trainings of a name were and cost."""
    one = params.auraflow_trainings[name]
    descent = getattr(params.auraflow_models, one.model).descent.training
    metas = [checkpoint.load(folder(name, seed) / "model.safetensors")[1] for seed in seeds_of(params, name)]
    return Training(
        model=one.model,
        text=one.text,
        parameters=metas[0]["parameters"],
        pictures_seen=descent.steps * descent.batch_size,
        minutes=[meta["minutes"] for meta in metas],
    )


def scales(params: Params, test: Split) -> list[Scale]:
    """What the image tokenizer of all scales makes of test pictures."""
    images, tokenizer = test.images(SIZE)[: params.evaluation.pictures], multi_scale_vqgan.load(SCALES)
    tokens, sides = multi_scale_vqgan.encode_batches(tokenizer, images), tokenizer.quantizer.scales
    ends, uses = np.cumsum(np.square(sides)).tolist(), usage_by_scale(tokens, sides, tokenizer.config["codes"])
    found = []
    for side, end, use in zip(sides, ends, uses, strict=True):
        rebuilt = multi_scale_vqgan.decode_batches(tokenizer, tokens[:, :end])
        random = np.random.Generator(np.random.PCG64([params.seed, 3]))
        psnr = reconstruction(images, rebuilt, random, params.evaluation.bootstrap)[0]["psnr"]
        found.append(Scale(side=side, tokens=end, psnr=psnr, **use))
    return found


def measured(panel: Panel, name: str, one: Drawn) -> Run:
    """One way of drawing, over all trainings."""
    drawn = np.load(DRAWN / f"{name}.npy").swapaxes(0, 1)  # [R, seeds, S, S, 3]
    prompts = [panel.prompts[id] for id in one.prompts]
    shown, own = drawn[: len(prompts)], drawn[len(prompts) :]
    given: dict[str, Any] = panel.clip_scores(shown, [prompt[one.language] for prompt in prompts])
    if panel.reader is not None:
        apart = np.array([prompt["category"] == HELDOUT for prompt in prompts])
        given |= panel.accuracies(shown[~apart], [prompt for prompt in prompts if prompt["category"] != HELDOUT])
        held = [prompt for prompt in prompts if prompt["category"] == HELDOUT]
        given["heldout"] = panel.accuracies(shown[apart], held)["exact"]
        seen = np.reshape([len(reading["objects"]) for reading in panel.read(shown)], shown.shape[:2])
        asked = np.array([objects_asked(prompt) for prompt in prompts])
        given["objects"] = panel.over_seeds(seen / asked[:, None], "objects")
    return Run(
        training=one.training,
        language=one.language,
        sampling=one.sampling,
        passes=one.passes,
        prompts=len(prompts),
        captions=own.shape[0] * own.shape[1],
        **given,
        **panel.distances(own, one.captions),
    )


def drawn_again(panel: Panel, way: str, one: Again) -> dict[str, Accuracy]:
    """How many test pictures that were drawn anew show what their captions say and nothing else, training by training,
    over its seeds."""
    found, wanted = {}, requirements(one.captions)
    for name in one.trainings:
        drawn = np.load(DRAWN / f"{name}_{way}.npy").swapaxes(0, 1)  # [R, seeds, S, S, 3]
        found[name] = panel.accuracies(drawn, wanted)["exact"]
    return found


def keep_pictures(params: Params, panel: Panel, drawings: Drawings) -> None:
    """What the first trainings draw for prompts in every language, as strips, unselected."""
    out, texts = params.results / "auraflow_pictures", {}
    fresh(out)
    for name, one in drawings.runs.items():
        if one.sampling != drawings.runs[one.training].sampling:
            continue  # another number of passes
        few = np.linspace(0, len(one.prompts) - 1, min(SHOWN, len(one.prompts))).round().astype(int)
        write_strip(out / f"{name}.png", np.load(DRAWN / f"{name}.npy")[0, few])
        asked = [panel.prompts[one.prompts[index]] for index in few]
        texts[name] = [(prompt[one.language], prompt[panel.language]) for prompt in asked]
    Texts(texts=texts).write(out / "texts.json")
