"""Stage muse/evaluate: drawn tokens and the reports of all trainings → results/<profile>/muse.json and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.decoding.noise import RowRandom
from lib.evidence.report import Estimate
from lib.evidence.strips import write_strip
from lib.metrics.exact_scene import exactly
from lib.metrics.image_distance import check_pretrained
from lib.metrics.panel import Accuracy, Panel
from lib.models import vqgan
from lib.ownership import fresh
from lib.painter.autoregressive import row_seeds
from lib.painter.drawing import painted
from lib.painter.masked import unmasked
from lib.scenes.wordings import requirements
from lib.training.muse import accuracy_by_rate
from lib.weights import checkpoint
from studies.muse.code import choose, claims, draw
from studies.muse.code.judging import JUDGE, log_likelihoods
from studies.muse.code.material import HELDOUT, TOKENIZER, folders, objects_asked, panel_of, tokenised
from studies.muse.code.networks import load
from studies.muse.code.reports import (
    Choice,
    Drawings,
    Drawn,
    Filled,
    Inpainting,
    Measured,
    Results,
    Run,
    Settings,
    Texts,
    Training,
    Worded,
)
from studies.muse.code.settings import Params, seeds_of, training_of
from studies.muse.code.sizes import PICTURE
from studies.muse.code.training_parts import folder

SHOWN = 28  # prompts whose pictures are kept, spread over the categories
UNMASKED = 3  # prompts whose unmasking is shown
AS_IT_IS = {"guidance": 1.0, "temperature": 1.0}  # a law that is measured, not sharpened
KEPT = ("autoregressive", "masked", "order_confidence", "order_random")


def run(params: Params) -> None:
    """Measures all runs, and writes what follows from them."""
    check_pretrained(params.evaluation)
    drawings, tokenizer = Drawings.read(draw.OUT / "drawings.json"), vqgan.load(TOKENIZER)
    panels = {part: panel_of(params.evaluation, params.seed, part) for part in params.muse_parts}
    part_of = {name: one.part for name, one in params.muse_trainings.items()}
    panel = panels[drawings.part]
    judge = Judge(params, tokenizer) if JUDGE in params.muse_trainings else None
    runs = {
        name: measured(panels[part_of[one.training]], tokenizer, judge, name, one)
        for name, one in drawings.runs.items()
    }
    report = Measured(
        part=drawings.part,
        steps=dict(params.muse_search.steps),
        length=int(np.load(draw.OUT / "autoregressive.npy", mmap_mode="r").shape[-1]),
        trainings={name: trained(params, name) for name in params.muse_trainings},
        runs=runs,
        timings=drawings.timings,
        rates=drawings.rates,
        real_likelihood=judge and float(judge.real().mean()),
        inpainting={
            name: inpainted(panel, tokenizer, one, folders(drawings.part).tokens)
            for name, one in drawings.filled.items()
            if one.pictures
        },
        worded={wording: by_wording(panel, tokenizer, wording, one) for wording, one in drawings.worded.items()},
        choice=Choice.read(choose.OUT / "choice.json"),
        search=Settings.read(draw.SETTINGS),
    )
    Results(**dict(report), claims=claims.claims(report, params.seed)).write(params.results / "muse.json")
    keep_pictures(params, panels, tokenizer, drawings)


def trained(params: Params, name: str) -> Training:
    """What the trainings of a name were and cost."""
    settings, metas = training_of(params, name), []
    for seed in seeds_of(params, name):
        metas.append(checkpoint.load(folder(name, seed) / "model.safetensors")[1])
    descent, first = settings.descent.training, metas[0]
    seen = descent.steps * descent.batch_size
    length = first["config"]["rows"] * first["config"]["columns"]
    given: dict[str, Any] = {}
    if first["kind"] in ("masked", "super_resolution"):
        given["accuracy_by_rate"] = [
            {f"{end}": share for end, share in accuracy_by_rate(meta["history"][-1]).items()} for meta in metas
        ]
    return Training(
        model=params.muse_trainings[name].model,
        part=params.muse_trainings[name].part,
        parameters=first["parameters"],
        pictures_seen=seen,
        operations=6.0 * first["parameters"] * seen * length,
        minutes=[meta["minutes"] for meta in metas],
        **given,
    )


class Judge:
    """Likelihoods of pictures of test captions of the part that the judge was trained on."""

    def __init__(self, params: Params, tokenizer: vqgan.VQGAN):
        self.network, self.tokenizer = load(folder(JUDGE, params.seed), AS_IT_IS), tokenizer
        self.rows, self.text_length = draw.rows_of(params, JUDGE), params.text.length
        self.numbers = range(min(params.muse_drawing.pictures, self.rows.there))

    def real(self) -> np.ndarray:
        """Of the test pictures themselves."""
        return self(np.load(self.rows.where.tokens / f"test_{PICTURE}.npy")[self.numbers], self.numbers)

    def __call__(self, rows: np.ndarray, captions: Sequence[int]) -> np.ndarray:
        """Of tokens [R, …], or pictures uint8 [R, S, S, 3], drawn for R captions: float64 [R]."""
        tokens = vqgan.encode_batches(self.tokenizer, rows) if rows.ndim > 3 else rows  # pictures → tokens
        texts = self.rows.captions(captions)
        return log_likelihoods(self.network, texts, tokens.reshape(len(rows), -1), self.text_length)


def measured(panel: Panel, tokenizer: vqgan.VQGAN, judge: Judge | None, name: str, one: Drawn) -> Run:
    """One way of drawing, over all trainings."""
    rows = np.load(draw.OUT / f"{name}.npy")  # [seeds, samples, R, N], or [seeds, samples, R, S, S, 3]
    given = by_prompts(panel, tokenizer, rows[:, :, : len(one.prompts)], one) if one.prompts else {}
    if one.captions:
        own = rows[:, 0, len(one.prompts) :]
        drawn, test = by_row(tokenizer, own), panel.test  # [C, seeds, S, S, 3]
        given |= panel.distances(drawn, one.captions)
        if not one.prompts:
            texts = [test.captions[number][panel.language][0] for number in one.captions]
            given |= panel.clip_scores(drawn, texts)
        elif judge:
            found = np.stack([judge(seed, one.captions) for seed in own], axis=1)  # [C, seeds]
            given["likelihood"] = panel.over_seeds(found, "likelihood")
    return Run(
        training=one.training,
        sampling=one.sampling,
        passes=one.passes,
        prompts=len(one.prompts),
        captions=len(one.captions) * len(rows),
        **given,
    )


def by_prompts(panel: Panel, tokenizer: vqgan.VQGAN, rows: np.ndarray, one: Drawn) -> dict[str, Any]:
    """What is measured of pictures of prompts, [seeds, samples, P, …]."""
    prompts = [panel.prompts[id] for id in one.prompts]
    drawn = by_row(tokenizer, rows[:, 0])  # [P, seeds, S, S, 3]
    given: dict[str, Any] = panel.clip_scores(drawn, [prompt[panel.language] for prompt in prompts])
    if panel.reader is not None:
        apart = np.array([prompt["category"] == HELDOUT for prompt in prompts])
        given |= panel.accuracies(drawn[~apart], [prompt for prompt in prompts if prompt["category"] != HELDOUT])
        if apart.any():
            given["heldout"] = panel.accuracies(drawn[apart], [one for one in prompts if one["category"] == HELDOUT])[
                "exact"
            ]
        seen = [len(reading["objects"]) for reading in panel.read(drawn)]
        asked = np.array([objects_asked(prompt) for prompt in prompts])
        given["objects"] = panel.over_seeds(np.reshape(seen, drawn.shape[:2]) / asked[:, None], "objects")
    if one.samples > 1:
        spread = [panel.diversity(by_row(tokenizer, seed)).value for seed in rows]  # of every training [samples, P, N]
        given["diversity"] = Estimate.of(spread, f"muse {one.training} diversity")
    return given


def by_row(tokenizer: vqgan.VQGAN, rows: np.ndarray) -> np.ndarray:
    """Tokens [n, R, N] or pictures [n, R, S, S, 3] → pictures uint8 [R, n, S, S, 3]."""
    drawn = painted(tokenizer, rows.reshape(-1, *rows.shape[2:]))
    return drawn.reshape(*rows.shape[:2], *drawn.shape[1:]).swapaxes(0, 1)


def inpainted(panel: Panel, tokenizer: vqgan.VQGAN, one: Filled, of: Path) -> Inpainting:
    """Test pictures with a new middle, beside the originals."""
    tokens = np.load(draw.OUT / f"filled_{one.training}.npy")  # [seeds, R, N]
    originals = np.load(of / f"test_{PICTURE}.npy")[one.pictures].reshape(tokens.shape[1:])
    new = ~np.array(one.known)
    same = (tokens == originals)[:, :, new].mean(axis=2)  # [seeds, R]
    given: dict[str, Any] = {"same": panel.over_seeds(same.T, "same")}
    if panel.reader is not None and panel.test.scenes is not None:
        wanted = [requirement(panel.test.scenes[number]) for number in one.pictures for _ in tokens]
        drawn = by_row(tokenizer, tokens)
        right = exactly(panel.read(drawn), wanted).reshape(drawn.shape[:2])
        given["right"] = panel.over_seeds(right, "right")
    return Inpainting(training=one.training, pictures=len(one.pictures), **given)


def by_wording(panel: Panel, tokenizer: vqgan.VQGAN, wording: str, one: Worded) -> dict[str, Accuracy]:
    """Training → how many pictures of short or of long captions are exactly right, over its seeds."""
    return {
        name: panel.accuracies(
            by_row(tokenizer, np.load(draw.OUT / f"{name}_{wording}.npy")), requirements(one.captions)
        )["exact"]
        for name in one.trainings
    }


def requirement(scene: dict[str, Any]) -> dict[str, Any]:
    """What a picture must show to have the objects of a scene: as a prompt says it."""
    pairs = [(each["shape"], each["colour"]) for each in scene["objects"]]
    objects = [
        {"shape": shape, "colour": colour, "count": pairs.count((shape, colour))}
        for shape, colour in dict.fromkeys(pairs)
    ]
    return {"category": "picture", "require": {"objects": objects, "relation": None}}


def keep_pictures(params: Params, panels: Mapping[str, Panel], tokenizer: vqgan.VQGAN, drawings: Drawings) -> None:
    """What the first trainings draw for the first prompts, as strips, unselected."""
    out = params.results / "muse_pictures"
    fresh(out)
    texts = {}
    usual = f"masked_{params.muse_search.steps['masked']}"
    for name in (*KEPT, *params.muse_trainings):
        run = f"{name}_{params.muse_search.steps[name]}" if name in params.muse_search.steps else name
        if run not in drawings.runs:
            continue
        ids, panel = drawings.runs[run].prompts, panels[params.muse_trainings[drawings.runs[run].training].part]
        few = np.linspace(0, len(ids) - 1, min(SHOWN, len(ids))).round().astype(int)
        tokens = np.load(draw.OUT / f"{run}.npy")[0, 0, few]
        write_strip(out / f"{name}.png", painted(tokenizer, tokens))
        texts[name] = [panel.prompts[ids[index]][panel.language] for index in few]
    ids, panel = drawings.runs[usual].prompts, panels[drawings.part]
    few = np.linspace(0, len(ids) - 1, UNMASKED).round().astype(int)
    texts["unmasking"] = [panel.prompts[ids[index]][panel.language] for index in few]
    drafts = unmasking(params, texts["unmasking"], drawings.runs[usual].sampling)
    write_strip(out / "unmasking.png", painted(tokenizer, drafts.reshape(-1, drafts.shape[-1])))
    Texts(texts=texts).write(out / "texts.json")


def unmasking(params: Params, captions: Sequence[str], sampling: Mapping[str, Any]) -> np.ndarray:
    """What the first training's pictures would be if all was fixed after each pass: tokens [R, passes, N]."""
    model, random = (
        load(folder("masked", params.seed), sampling),
        RowRandom(row_seeds(params.seed, range(len(captions)))),
    )
    found = unmasked(model, tokenised(captions, params.text.length), random, model.sampling, trace=True)
    return found.trace.drafts.transpose(0, 1).numpy()  # [passes, R, N] → [R, passes, N]
