"""Stage dalle_mini/evaluate: sampled tokens → pictures → the study's numbers → build/evaluation/."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lib.data.selection import kept
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.evidence.results import read
from lib.evidence.statistics import bootstrap_mean
from lib.metrics import clip_score, image_distance, scene_accuracy
from lib.metrics.diversity import feature_diversity
from lib.metrics.exact_scene import exactly
from lib.metrics.judges import load_judges
from lib.metrics.reranking import best_of
from lib.models import reader, vqgan
from lib.ownership import fresh
from studies.dalle_mini.code.settings import Params

DATA, TOKENIZER, SAMPLES = Path("data"), Path("build/tokenizer"), Path("build/samples")
OUT = Path("build/evaluation")
SHOWN = 24  # pictures of each kind that are kept for figures
SHOWN_LARGE = 8
SHOWN_RANKED = 6  # prompts whose ranked candidates are kept
ONE_MODEL = "sampling seeds of one trained model"


def run(params: Params) -> None:
    """Measures all sets of samples alike, and keeps a few pictures of everything for the figures."""
    image_distance.check_pretrained(params.evaluation)
    fresh(OUT)
    (OUT / "pictures").mkdir(parents=True)
    sets = {entry["name"]: entry for entry in read(SAMPLES / "sets.json")}
    tokenizer = vqgan.load(TOKENIZER / params.dalle_mini.tokens)
    judges = Judges(params)

    def pictures(name: str) -> np.ndarray:
        """What a set shows, uint8 [P, n, S, S, 3]."""
        tokens = np.load(SAMPLES / f"{name}.npy")  # [P, n, h, w]
        flat = vqgan.decode_batches(tokenizer, tokens.reshape(-1, *tokens.shape[2:]))  # [P·n, S, S, 3]
        return flat.reshape(*tokens.shape[:2], *flat.shape[1:])

    titles = {name: prompt[judges.language] for name, prompt in judges.prompts.items()}
    texts = {"originals": first_captions(SHOWN), "titles": titles}
    sweep, languages = [], {}
    for name, about in sets.items():
        if name.startswith(("captioned", "ranked")):
            continue
        drawn = pictures(name)
        measured = judges.measure(drawn, about)
        if name.startswith("sweep"):
            sweep.append(measured)
        if about["guidance"] == params.sampling.guidance:
            languages.setdefault(about["model"], {})[about["language"]] = measured
        shown = np.linspace(0, len(drawn) - 1, SHOWN).round().astype(int)  # spread over the categories
        np.save(OUT / "pictures" / f"samples_{name}.npy", drawn[shown, 0])
        chosen = [judges.prompts[about["ids"][index]] for index in shown]
        texts[name] = [
            {"id": prompt["id"], "text": prompt[about["language"]], "category": prompt["category"]} for prompt in chosen
        ]
    unguided = next(entry for entry in sweep if entry["scale"] == 1)
    guided = next(entry for entry in sweep if entry["scale"] == params.sampling.guidance)
    report = {"unguided": unguided, "guided": guided, "sweep": sweep, "languages": languages}
    for name in ("unguided", "guided"):
        numbers = [int(number) for number in sets[f"captioned_{name}"]["ids"]]
        report[name] |= judges.distances(pictures(f"captioned_{name}")[:, 0], numbers)
    for key, measure in (("super_conditioning", "exact_by_seed"), ("super_conditioning_geneval", "accuracy_by_seed")):
        report[key] = {}
        if guided[measure]:
            report[key]["accuracy"] = paired(unguided[measure]["overall"], guided[measure]["overall"], ONE_MODEL)
    report["claims"] = claims(guided, languages)

    for key, name in (("reranking", "ranked_unguided"), ("reranking_guided", "ranked_guided")):
        ranked = pictures(name)
        report[key], order = judges.ranking(ranked, sets[name], params.sampling.seeds)
        shown = np.linspace(0, len(ranked) - 1, SHOWN_RANKED).round().astype(int)
        few = np.concatenate([ranked[index, order[index]] for index in shown])  # [prompts · candidates, S, S, 3]
        np.save(OUT / "pictures" / f"{name}.npy", few)
        asked = [judges.prompts[sets[name]["ids"][index]] for index in shown]
        texts[name] = [{"text": prompt[judges.language]} for prompt in asked]

    report["reconstructions"] = judges.reconstructions(
        tokenizer, getattr(params.tokenizer, params.dalle_mini.tokens).leave_out
    )
    keep_reconstructions(vqgan.load(TOKENIZER / "fine"))
    write_json(OUT / "pictures" / "texts.json", texts)
    write_json(OUT / "metrics.json", report)


class Judges:
    """What sets of drawn pictures are measured by."""

    def __init__(self, params: Params):
        self.resamples, self.seed, self.pictures = params.evaluation.bootstrap, params.seed, params.evaluation.pictures
        self.prompts = {prompt["id"]: prompt for prompt in read_prompts(DATA)}
        self.language = "en" if "en" in read_meta(DATA)["languages"] else read_meta(DATA)["languages"][0]
        self.clips, self.extractors, self.reader = load_judges(params.evaluation)

    def random(self, *stream: int) -> np.random.Generator:
        """A fresh generator for one measurement, the same for every set of samples."""
        return np.random.Generator(np.random.PCG64([self.seed, *stream]))

    def measure(self, drawn: np.ndarray, about: dict) -> dict:
        """CLIP score and diversity of pictures [P, n, S, S, 3] and, where the prompts say what must be there, accuracy.

        Accuracy is GenEval's: what is asked for is there. Exact accuracy: and nothing else is. Intervals resample
        prompts: the pictures of one prompt are alike, so they stay together, as their mean.
        """
        asked = [self.prompts[name] for name in about["ids"]]
        prompts = [prompt for prompt in asked for _ in range(drawn.shape[1])]
        flat = drawn.reshape(-1, *drawn.shape[2:])
        report = {"scale": about["guidance"], "pictures": len(flat)}
        report |= dict.fromkeys(("accuracy", "accuracy_by_seed", "exact", "exact_by_seed"))
        for name, judge in self.clips.items():
            texts = [prompt[about["language"]] for prompt in prompts]
            report[name], scores = clip_score.clip_score(flat, texts, judge, self.random(1), self.resamples)
            over = interval(scores.reshape(drawn.shape[:2]).mean(axis=1), self.random(1), self.resamples)
            report[name] |= {"low": max(over["low"], 0.0), "high": max(over["high"], 0.0), "n": over["n"]}
        if drawn.shape[1] > 1:
            features = image_distance.features_of(self.extractors[""], flat).numpy()
            features /= np.linalg.norm(features, axis=1, keepdims=True)
            spread = feature_diversity(features.reshape(*drawn.shape[:2], -1))  # [P]
            report["diversity"] = interval(spread, self.random(5), self.resamples)
        if self.reader is not None:
            categories = [prompt["category"] for prompt in asked]
            right = scene_accuracy.accuracy(self.reader, flat, prompts, self.random(3), self.resamples)[1]
            exact = exactly(reader.read(self.reader, flat), prompts)
            for key, values in (("accuracy", right), ("exact", exact)):
                outcomes = values.reshape(drawn.shape[:2])  # [P, n]
                shares = outcomes.mean(axis=1)  # [P]
                report[key] = scene_accuracy.summary(shares, categories, self.random(3), self.resamples)
                report[f"{key}_by_seed"] = by_seed(outcomes, categories)
        return report

    def distances(self, captioned: np.ndarray, numbers: list[int]) -> dict:
        """FID and KID of pictures [C, S, S, 3] drawn for captions of the test pictures `numbers`, against those."""
        real = np.asarray(Split.open(DATA, "test").images(64))[numbers]
        report: dict = {"pictures_in_fid": len(captioned)}
        for suffix, extractor in self.extractors.items():
            distances = image_distance.distance(real, captioned, extractor, self.resamples, self.random(2))
            report |= {f"{name}{suffix}": distances[name] for name in ("fid", "kid")}
        return report

    def ranking(self, drawn: np.ndarray, about: dict, seeds: int) -> tuple[dict, np.ndarray]:
        """Best of n by the CLIP, judged by the reader's exact accuracy, of pictures [P, seeds · n, S, S, 3].

        Returns:
            the numbers, and for every prompt the first seed's candidates by falling CLIP score, int [P, n].
        """
        asked = [self.prompts[name] for name in about["ids"]]
        prompts = [prompt for prompt in asked for _ in range(drawn.shape[1])]
        flat = drawn.reshape(-1, *drawn.shape[2:])
        texts = [prompt[about["language"]] for prompt in prompts]
        judge = self.clips["clip_score"]
        scores = clip_score.clip_score(flat, texts, judge, self.random(1), self.resamples)[1]
        scores = scores.reshape(len(asked), seeds, -1)  # [P, seeds, n]
        order = np.argsort(-scores[:, 0], axis=1, kind="stable")
        report: dict = {"candidates": scores.shape[2], "prompts": len(asked), "scale": about["guidance"]}
        if self.reader is None:
            return report, order
        right = exactly(reader.read(self.reader, flat), prompts)
        found = best_of(scores.reshape(-1, scores.shape[2]), right.reshape(-1, scores.shape[2]))
        report["curve"] = [
            {"n": int(n), "ranked": self.mean_over_prompts(found.ranked[:, k], seeds)}
            | {"oracle": self.mean_over_prompts(found.oracle[:, k], seeds)}
            for k, n in enumerate(found.k)
        ]
        report["unranked"] = self.mean_over_prompts(found.unranked, seeds)
        report["accuracy"] = paired(
            found.unranked.reshape(-1, seeds).mean(axis=0).tolist(),
            found.ranked[:, -1].reshape(-1, seeds).mean(axis=0).tolist(),
            f"{ONE_MODEL}, each with candidates of its own",
        )
        gains = (found.ranked[:, -1] - found.unranked).reshape(-1, seeds).mean(axis=1)
        report["gain_over_prompts"] = interval(gains, self.random(6), self.resamples)
        return report, order

    def mean_over_prompts(self, outcomes: np.ndarray, seeds: int) -> dict:
        """Mean of outcomes [P · seeds], its interval over prompts."""
        return interval(outcomes.reshape(-1, seeds).mean(axis=1), self.random(6), self.resamples)

    def reconstructions(self, tokenizer: vqgan.VQGAN, leave_out: Sequence[str]) -> dict:
        """What the reader makes of reconstructed test pictures: the most that any model of these tokens can reach."""
        if self.reader is None:
            return {}
        test = Split.open(DATA, "test")
        numbers = kept(test, leave_out, self.pictures)
        images = np.asarray(test.images(64))[numbers]
        rebuilt = vqgan.decode_batches(tokenizer, vqgan.encode_batches(tokenizer, images))
        readings = reader.read(self.reader, rebuilt)
        return scene_accuracy.reader_quality(
            readings, [test.scenes[number] for number in numbers], self.random(7), self.resamples
        )


def interval(values: np.ndarray, generator: np.random.Generator, resamples: int) -> dict:
    """Mean and 95 % bootstrap interval of per-prompt values."""
    found = bootstrap_mean(np.asarray(values, float), generator, resamples=resamples)
    return {"value": found.value, "low": found.low, "high": found.high, "n": len(values)}


def by_seed(outcomes: np.ndarray, categories: list[str]) -> dict[str, list[float]]:
    """Share of prompts drawn right: bool [P, n] → n values for each category and, "overall", for their mean."""
    members = {name: [category == name for category in categories] for name in dict.fromkeys(categories)}
    shares = {name: outcomes[member].mean(axis=0) for name, member in members.items()}  # [n] each
    shares["overall"] = np.mean(list(shares.values()), axis=0)
    return {name: values.tolist() for name, values in shares.items()}


def claims(guided: dict, languages: dict[str, dict[str, dict]]) -> dict[str, dict]:
    """Pairs for the claims on categories and on Chinese, where data and prompts have them.

    Args:
        guided: what was measured of the model of all languages.
        languages: likewise for each training and each language of the prompts.
    """
    found, exact = {}, guided["exact_by_seed"] or {}
    for name, baseline, treatment in (
        ("heldout", "colours", "heldout"),  # the same sentences, with pairs that training shows and with others
        ("relations", "single_object", "position"),
        ("counts", "single_object", "counting"),
    ):
        if baseline in exact and treatment in exact:
            found[name] = paired(exact[baseline], exact[treatment], ONE_MODEL)
    both, english = (languages.get(model, {}).get("zh") for model in ("both", "english"))
    if both and english and both["exact_by_seed"]:
        scores = both["exact_by_seed"]["overall"], english["exact_by_seed"]["overall"]
        found["chinese"] = paired(*scores, "sampling seeds of two trained models")
    return found


def paired(baseline: list[float], treatment: list[float], seeds_are: str) -> dict:
    """The numbers that a claim about a direction is judged by: accuracy per sampling seed, in pairs."""
    return {"baseline": baseline, "treatment": treatment, "unit": "share of prompts", "seeds_are": seeds_are}


def keep_reconstructions(tokenizer: vqgan.VQGAN) -> None:
    """Saves the first test pictures and what the tokenizer makes of them, at every size there is."""
    test = Split.open(DATA, "test")
    for size in test.lengths:
        images = np.asarray(test.images(size)[: SHOWN if size == 64 else SHOWN_LARGE])
        rebuilt = vqgan.decode_batches(tokenizer, vqgan.encode_batches(tokenizer, images))
        np.save(OUT / "pictures" / f"originals_{size}.npy", images)
        np.save(OUT / "pictures" / f"reconstructions_{size}.npy", rebuilt)


def first_captions(count: int) -> list[dict[str, str]]:
    """The first caption of each language of the first test pictures."""
    entries = Split.open(DATA, "test").captions[:count]
    return [{language: texts[0] for language, texts in entry.items()} for entry in entries]
