"""Stage evaluate_dalle_mini: sampled tokens → pictures → accuracy, CLIP score, FID, KID → build/evaluation/."""

import shutil
from pathlib import Path

import numpy as np

from lib.config import Params
from lib.data.store import Split, read_meta, read_prompts, write_json
from lib.metrics import clip_score, image_distance, scene_accuracy
from lib.models import clip, reader, vqgan
from lib.text import TextTokenizer

DATA, TEXT, CLIP = Path("data"), Path("build/text/tokenizer.json"), Path("build/clip")
READER, TOKENIZER, SAMPLES = Path("build/reader"), Path("build/tokenizer"), Path("build/samples/dalle_mini.npz")
OUT = Path("build/evaluation")
NAMES = ("unguided", "guided")
SHOWN = 24  # pictures of each kind that are kept for figures
SHOWN_LARGE = 8


def run(params: Params) -> None:
    """Measures both guidance scales alike, and keeps a few pictures of everything for the figures."""
    image_distance.check_pretrained(params.evaluation)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "pictures").mkdir(parents=True)
    samples = np.load(SAMPLES)
    judges = Judges(params, samples["ids"])
    tokenizer = vqgan.load(TOKENIZER)
    report: dict = {}
    for index, name in enumerate(NAMES):
        prompted = vqgan.decode_batches(tokenizer, flat(samples["tokens"][index]))  # [seeds·P, S, S, 3]
        captioned = vqgan.decode_batches(tokenizer, samples["captioned"][index])  # [C, S, S, 3]
        report[name] = {"scale": float(samples["guidance"][index]), "pictures": len(prompted)}
        report[name] |= judges.measure(prompted, captioned, len(samples["seeds"]))
        np.save(OUT / "pictures" / f"samples_{name}.npy", prompted[judges.shown()])
    report["super_conditioning"] = paired(report)
    keep_reconstructions(tokenizer)
    shown = [judges.prompts[i] for i in judges.shown()]
    samples_texts = [{"text": prompt[judges.language], "category": prompt["category"]} for prompt in shown]
    texts = {"samples": samples_texts, "originals": first_captions(SHOWN)}
    write_json(OUT / "pictures" / "texts.json", texts)
    write_json(OUT / "metrics.json", report)


def flat(tokens: np.ndarray) -> np.ndarray:
    """[seeds, P, h, w] → [seeds·P, h, w]."""
    return tokens.reshape(-1, *tokens.shape[2:])


class Judges:
    """What a set of drawn pictures is measured by."""

    def __init__(self, params: Params, ids: np.ndarray):
        self.resamples, self.seed = params.evaluation.bootstrap, params.seed
        by_id = {prompt["id"]: prompt for prompt in read_prompts(DATA)}
        self.prompts = [by_id[name] for name in ids]
        self.language = "en" if "en" in read_meta(DATA)["languages"] else read_meta(DATA)["languages"][0]
        own = clip.load(CLIP)
        # Pretrained networks, where params.yaml names a local copy, measure beside this repository's own.
        self.clips = {"clip_score": clip_score.own_judge(own, TextTokenizer.load(TEXT))}
        self.extractors = {"": image_distance.ClipFeatures(own)}
        if params.evaluation.clip:
            self.clips["clip_score_pretrained"] = clip_score.pretrained_judge(params.evaluation.clip)
        if params.evaluation.inception:
            self.extractors["_inception"] = image_distance.InceptionFeatures(params.evaluation.inception)
        self.reader = reader.load(READER) if (READER / "model.safetensors").is_file() else None
        self.real = np.asarray(Split.open(DATA, "test").images(64))

    def random(self, *stream: int) -> np.random.Generator:
        """A fresh generator for one measurement, the same for both guidance scales."""
        return np.random.Generator(np.random.PCG64([self.seed, *stream]))

    def shown(self) -> list[int]:
        """Indices of prompts for the figures, evenly spread over the categories."""
        return [int(i) for i in np.linspace(0, len(self.prompts) - 1, SHOWN)]

    def measure(self, prompted: np.ndarray, captioned: np.ndarray, seeds: int) -> dict:
        """Accuracy (where the prompts say what must be there) and CLIP score of the prompts' pictures; FID and KID of
        the pictures drawn for test captions, against those captions' own real pictures."""
        prompts = self.prompts * seeds
        texts = [prompt[self.language] for prompt in prompts]
        report: dict = {"pictures_in_fid": len(captioned), "accuracy": None, "accuracy_by_seed": None}
        for name, judge in self.clips.items():
            report[name] = clip_score.clip_score(prompted, texts, judge, self.random(1), self.resamples)[0]
        real = self.real[: len(captioned)]
        for suffix, extractor in self.extractors.items():
            distances = image_distance.distance(real, captioned, extractor, self.resamples, self.random(2))
            report |= {f"{name}{suffix}": distances[name] for name in ("fid", "kid")}
        if self.reader is not None:
            report["accuracy"], right = scene_accuracy.accuracy(
                self.reader, prompted, prompts, self.random(3), self.resamples
            )
            categories = [prompt["category"] for prompt in self.prompts]
            report["accuracy_by_seed"] = [
                scene_accuracy.summary(part, categories, self.random(4), self.resamples)["overall"]["value"]
                for part in np.split(right, seeds)
            ]
        return report


def paired(report: dict) -> dict:
    """The numbers that the claim about super-conditioning is judged by: accuracy per sampling seed, in pairs."""
    if report["guided"]["accuracy_by_seed"] is None:
        return {}
    return {
        "accuracy": {
            "baseline": report["unguided"]["accuracy_by_seed"],
            "treatment": report["guided"]["accuracy_by_seed"],
            "unit": "share of prompts",
            "seeds_are": "sampling seeds of one trained model",
        }
    }


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
