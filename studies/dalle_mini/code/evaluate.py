"""Stage dalle_mini/evaluate: sampled tokens → pictures → the study's numbers → build/evaluation/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lib.data.selection import kept
from lib.data.store import Split, write_json
from lib.evidence.report import Estimate, Interval, Pairs
from lib.evidence.results import read
from lib.metrics.exact_scene import exactly
from lib.metrics.image_distance import check_pretrained
from lib.metrics.panel import Panel
from lib.metrics.reranking import best_of
from lib.metrics.scene_accuracy import reader_quality
from lib.models import vqgan
from lib.ownership import fresh
from studies.dalle_mini.code.reports import Candidates, Claims, Conditioning, Evaluation, Measured, Ranking, SampleSet
from studies.dalle_mini.code.settings import Params

TOKENIZER, SAMPLES, OUT = Path("build/tokenizer"), Path("build/samples"), Path("build/evaluation")
SHOWN = 24  # pictures of each kind that are kept for figures
SHOWN_LARGE = 8
SHOWN_RANKED = 6  # prompts whose ranked candidates are kept
ONE_MODEL = "sampling seeds of one trained model"


def run(params: Params) -> None:
    """Measures all sets of samples alike, and keeps a few pictures of everything for the figures."""
    check_pretrained(params.evaluation)
    fresh(OUT)
    (OUT / "pictures").mkdir(parents=True)
    sets = {entry["name"]: SampleSet(**entry) for entry in read(SAMPLES / "sets.json")}
    tokenizer = vqgan.load(TOKENIZER / params.dalle_mini.tokens)
    panel = Panel(params.evaluation, params.seed)

    def pictures(name: str) -> np.ndarray:
        """What a set shows, uint8 [P, n, S, S, 3]."""
        tokens = np.load(SAMPLES / f"{name}.npy")  # [P, n, h, w]
        flat = vqgan.decode_batches(tokenizer, tokens.reshape(-1, *tokens.shape[2:]))  # [P·n, S, S, 3]
        return flat.reshape(*tokens.shape[:2], *flat.shape[1:])

    # FID and KID of prompts' pictures are those of test captions, drawn by the same model at the same scale.
    captioned = {
        (about.model, about.language, about.guidance): distances(panel, pictures(name), about)
        for name, about in sets.items()
        if name.startswith("captioned")
    }
    titles = {name: prompt[panel.language] for name, prompt in panel.prompts.items()}
    texts: dict[str, Any] = {"originals": first_captions(panel.test, SHOWN), "titles": titles}
    sweep: list[Measured] = []
    languages: dict[str, dict[str, Measured]] = {}
    for name, about in sets.items():
        if name.startswith(("captioned", "ranked")):
            continue
        drawn = pictures(name)
        measured = measure(panel, drawn, about, captioned.get((about.model, about.language, about.guidance), {}))
        if name.startswith("sweep"):
            sweep.append(measured)
        if about.guidance == params.sampling.guidance:
            languages.setdefault(about.model, {})[about.language] = measured
        shown = np.linspace(0, len(drawn) - 1, SHOWN).round().astype(int)  # spread over the categories
        np.save(OUT / "pictures" / f"samples_{name}.npy", drawn[shown, 0])
        chosen = [panel.prompts[about.ids[index]] for index in shown]
        texts[name] = [
            {"id": prompt["id"], "text": prompt[about.language], "category": prompt["category"]} for prompt in chosen
        ]
    rankings = []
    for name in ("ranked_unguided", "ranked_guided"):
        ranked, about = pictures(name), sets[name]
        found, order = ranking(panel, ranked, about, params.sampling.seeds)
        rankings.append(found)
        shown = np.linspace(0, len(ranked) - 1, SHOWN_RANKED).round().astype(int)
        few = np.concatenate([ranked[index, order[index]] for index in shown])  # [prompts · candidates, S, S, 3]
        np.save(OUT / "pictures" / f"{name}.npy", few)
        texts[name] = [{"text": panel.prompts[about.ids[index]][panel.language]} for index in shown]

    unguided, guided = (
        next(entry for entry in sweep if entry.scale == scale) for scale in (1, params.sampling.guidance)
    )
    Evaluation(
        unguided=unguided,
        guided=guided,
        sweep=sweep,
        languages=languages,
        super_conditioning=conditioning(unguided.exact, guided.exact),
        super_conditioning_geneval=conditioning(unguided.accuracy, guided.accuracy),
        reranking=rankings[0],
        reranking_guided=rankings[1],
        claims=claims(guided, languages),
        reconstructions=reconstructions(
            panel,
            tokenizer,
            getattr(params.tokenizer, params.dalle_mini.tokens).leave_out,
            params.evaluation.pictures,
        ),
    ).write(OUT / "metrics.json")
    keep_reconstructions(vqgan.load(TOKENIZER / "fine"), panel.test)
    write_json(OUT / "pictures" / "texts.json", texts)


def measure(panel: Panel, drawn: np.ndarray, about: SampleSet, captioned: dict[str, Any]) -> Measured:
    """Pictures [P, n ≥ 2, S, S, 3] of prompts.

    Args:
        captioned: what `distances` found, or nothing.
    """
    prompts = [panel.prompts[name] for name in about.ids]
    return Measured(
        scale=about.guidance,
        pictures=drawn.shape[0] * drawn.shape[1],
        diversity=panel.diversity(drawn),
        **panel.accuracies(drawn, prompts),
        **panel.clip_scores(drawn, [prompt[about.language] for prompt in prompts]),
        **captioned,
    )


def distances(panel: Panel, drawn: np.ndarray, about: SampleSet) -> dict[str, Any]:
    """FID and KID of pictures [C, 1, S, S, 3] of test captions, where they are enough, and how many they are."""
    found = panel.distances(drawn, [int(number) for number in about.ids])
    return found and {"pictures_in_fid": len(drawn), **found}


def conditioning(unguided: Estimate | None, guided: Estimate | None) -> Conditioning:
    """Of accuracies, where there are any."""
    if unguided is None or guided is None:
        return Conditioning()
    return Conditioning(accuracy=paired(unguided.by_seed, guided.by_seed, ONE_MODEL))


def ranking(panel: Panel, drawn: np.ndarray, about: SampleSet, seeds: int) -> tuple[Ranking, np.ndarray]:
    """Best of n by the CLIP, judged by the reader's exact accuracy, of pictures [P, seeds · n, S, S, 3].

    Returns:
        the numbers, and for every prompt the first seed's candidates by falling CLIP score, int [P, n].
    """
    prompts = [panel.prompts[name] for name in about.ids]
    scores = panel.cosines(drawn, [prompt[about.language] for prompt in prompts], "clip_score")
    scores = scores.reshape(len(prompts), seeds, -1)  # [P, seeds, n]
    order = np.argsort(-scores[:, 0], axis=1, kind="stable")
    asked = {"candidates": scores.shape[2], "prompts": len(prompts), "scale": about.guidance}
    if panel.reader is None:
        return Ranking(**asked), order
    right = exactly(panel.read(drawn), [prompt for prompt in prompts for _ in range(drawn.shape[1])])
    found = best_of(scores.reshape(-1, scores.shape[2]), right.reshape(-1, scores.shape[2]))

    def over_prompts(outcomes: np.ndarray) -> Interval:
        """Mean of outcomes [P · seeds], its interval over prompts."""
        return panel.mean(outcomes.reshape(-1, seeds).mean(axis=1), "ranking")

    return (
        Ranking(
            **asked,
            curve=[
                Candidates(n=n, ranked=over_prompts(found.ranked[:, k]), oracle=over_prompts(found.oracle[:, k]))
                for k, n in enumerate(found.k.tolist())
            ],
            unranked=over_prompts(found.unranked),
            accuracy=paired(
                found.unranked.reshape(-1, seeds).mean(axis=0).tolist(),
                found.ranked[:, -1].reshape(-1, seeds).mean(axis=0).tolist(),
                f"{ONE_MODEL}, each with candidates of its own",
            ),
            gain_over_prompts=over_prompts(found.ranked[:, -1] - found.unranked),
        ),
        order,
    )


def reconstructions(
    panel: Panel, tokenizer: vqgan.VQGAN, leave_out: Sequence[str], pictures: int
) -> dict[str, Interval]:
    """What the reader makes of reconstructed test pictures: the most that any model of these tokens can reach."""
    if panel.reader is None:
        return {}
    numbers = kept(panel.test, leave_out, pictures)
    images = np.asarray(panel.test.images(64))[numbers]
    rebuilt = vqgan.decode_batches(tokenizer, vqgan.encode_batches(tokenizer, images))
    scenes = [panel.test.scenes[number] for number in numbers]
    random = panel.random("reconstructions")
    quality = reader_quality(panel.read(rebuilt[:, None]), scenes, random, panel.resamples)
    return {name: Interval(**found) for name, found in quality.items()}


def claims(guided: Measured, languages: dict[str, dict[str, Measured]]) -> Claims:
    """Pairs for the claims on categories and on Chinese, where data and prompts have them.

    Args:
        guided: what was measured of the model of all languages.
        languages: likewise for each training and each language of the prompts.
    """
    exact = guided.exact.categories if guided.exact else {}
    found = {
        name: paired(exact[baseline].by_seed, exact[treatment].by_seed, ONE_MODEL)
        for name, baseline, treatment in (
            ("heldout", "colours", "heldout"),  # the same sentences, with pairs that training shows and with others
            ("relations", "single_object", "position"),
            ("counts", "single_object", "counting"),
        )
        if baseline in exact and treatment in exact
    }
    both, english = (languages.get(model, {}).get("zh") for model in ("both", "english"))
    if both and english and both.exact and english.exact:
        found["chinese"] = paired(both.exact.by_seed, english.exact.by_seed, "sampling seeds of two trained models")
    return Claims(**found)


def paired(baseline: list[float], treatment: list[float], seeds_are: str) -> Pairs:
    """The numbers that a claim about a direction is judged by: accuracy per sampling seed, in pairs."""
    return Pairs(baseline=baseline, treatment=treatment, unit="share of prompts", seeds_are=seeds_are)


def keep_reconstructions(tokenizer: vqgan.VQGAN, test: Split) -> None:
    """Saves the first test pictures and what the tokenizer makes of them, at every size there is."""
    for size in test.lengths:
        images = np.asarray(test.images(size)[: SHOWN if size == 64 else SHOWN_LARGE])
        rebuilt = vqgan.decode_batches(tokenizer, vqgan.encode_batches(tokenizer, images))
        np.save(OUT / "pictures" / f"originals_{size}.npy", images)
        np.save(OUT / "pictures" / f"reconstructions_{size}.npy", rebuilt)


def first_captions(test: Split, count: int) -> list[dict[str, str]]:
    """The first caption of each language of the first test pictures."""
    return [{language: texts[0] for language, texts in entry.items()} for entry in test.captions[:count]]
