"""What drawn pictures are measured by, the same in every study: this repository's own networks, and pretrained ones
where there are copies of them.

Pictures come as [P, n, S, S, 3]: n of each of P prompts or captions, picture k of all of them from one seed. Pictures
of one prompt are alike, so intervals are over prompts; what is compared over seeds is in `by_seed`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from lib.config import EvaluationParams
from lib.data.store import Split, read_meta, read_prompts
from lib.evidence.report import Accuracy, Estimate, Interval
from lib.evidence.statistics import bootstrap_mean, generator_of
from lib.metrics import clip_score, image_distance, scene_accuracy
from lib.metrics.diversity import feature_diversity
from lib.metrics.exact_scene import exactly
from lib.models import clip, reader
from lib.text import TextTokenizer

DATA = Path("data")
CLIP, READER, TEXT = Path("build/clip"), Path("build/reader"), Path("build/text/tokenizer.json")
FEWEST = 16  # real pictures; fewer make no distance


def clip_judges(evaluation: EvaluationParams) -> dict[str, Callable]:
    """The CLIPs that there are, by the name of their score."""
    judges = {"clip_score": clip_score.own_judge(clip.load(CLIP), TextTokenizer.load(TEXT))}
    if evaluation.clip:
        judges["clip_score_pretrained"] = clip_score.pretrained_judge(evaluation.clip)
    return judges


def feature_extractors(evaluation: EvaluationParams) -> dict[str, nn.Module]:
    """What gives the features of FID and KID, by the suffix of their names."""
    extractors = {"": image_distance.ClipFeatures(clip.load(CLIP))}
    if evaluation.inception:
        extractors["_inception"] = image_distance.InceptionFeatures(evaluation.inception)
    return extractors


class Panel:
    """All measurements of drawn pictures.

    Args:
        seed: of all resampling; a measurement's random numbers follow from it and the measurement's name alone.

    Attributes:
        prompts: of the data, by id.
        language: that prompts are put in: English, where the data have it.
        reader: the scene reader, None for data whose content nobody knows.
    """

    def __init__(self, evaluation: EvaluationParams, seed: int):
        self.seed, self.resamples = seed, evaluation.bootstrap
        self.prompts = {prompt["id"]: prompt for prompt in read_prompts(DATA)}
        languages = read_meta(DATA)["languages"]
        self.language = "en" if "en" in languages else languages[0]
        self.test = Split.open(DATA, "test")
        self.clips, self.extractors = clip_judges(evaluation), feature_extractors(evaluation)
        self.reader = reader.load(READER) if (READER / "model.safetensors").is_file() else None

    def random(self, measurement: str) -> np.random.Generator:
        """A fresh generator, the same for everything that is measured so."""
        return generator_of(f"{measurement} {self.seed}")

    def mean(self, values: np.ndarray, measurement: str) -> Interval:
        """Mean and interval of a value a prompt [P]."""
        found = bootstrap_mean(np.asarray(values, float), self.random(measurement), resamples=self.resamples)
        return Interval(value=found.value, low=found.low, high=found.high, n=len(values))

    def over_seeds(self, values: np.ndarray, measurement: str) -> Estimate:
        """The same of a value a picture [P, n], with the mean over prompts of every seed."""
        return Estimate(**self.mean(values.mean(axis=1), measurement).plain(), by_seed=values.mean(axis=0).tolist())

    def read(self, drawn: np.ndarray) -> list[dict]:
        """What the reader sees in pictures [P, n, S, S, 3], prompt by prompt."""
        return reader.read(self.reader, flat(drawn))

    def accuracies(self, drawn: np.ndarray, prompts: Sequence[dict]) -> dict[str, Accuracy]:
        """`accuracy`, GenEval's: what is asked for is there; `exact`: and nothing else is. Nothing without a reader.

        Args:
            drawn: uint8 [P, n, S, S, 3]; prompts: P of them, each saying what must be there.
        """
        if self.reader is None:
            return {}
        readings, every = self.read(drawn), [prompt for prompt in prompts for _ in range(drawn.shape[1])]
        right = np.array(
            [
                scene_accuracy.satisfies(reading["objects"], prompt["require"], prompt["category"])
                for reading, prompt in zip(readings, every, strict=True)
            ]
        )
        categories = [prompt["category"] for prompt in prompts]
        return {
            name: self.by_category(outcomes.reshape(drawn.shape[:2]), categories)
            for name, outcomes in (("accuracy", right), ("exact", exactly(readings, every)))
        }

    def by_category(self, outcomes: np.ndarray, categories: Sequence[str]) -> Accuracy:
        """Share of right pictures, bool [P, n], by the category of their prompts, and the mean over categories."""
        intervals = scene_accuracy.summary(outcomes.mean(axis=1), categories, self.random("accuracy"), self.resamples)
        members = {name: [category == name for category in categories] for name in dict.fromkeys(categories)}
        shares = {name: outcomes[member].mean(axis=0) for name, member in members.items()}  # [n] each
        overall = np.mean(list(shares.values()), axis=0)
        return Accuracy(
            **intervals["overall"],
            by_seed=overall.tolist(),
            categories={name: Estimate(**intervals[name], by_seed=shares[name].tolist()) for name in shares},
        )

    def cosines(self, drawn: np.ndarray, texts: Sequence[str], name: str) -> np.ndarray:
        """100 × cosine between every picture [P, n, S, S, 3] and its text, P of them, by the CLIP of that score:
        float64 [P, n]."""
        every = [text for text in texts for _ in range(drawn.shape[1])]
        scores = clip_score.clip_score(flat(drawn), every, self.clips[name], self.random(name), self.resamples)[1]
        return scores.reshape(drawn.shape[:2])

    def clip_scores(self, drawn: np.ndarray, texts: Sequence[str]) -> dict[str, Estimate]:
        """How well pictures [P, n, S, S, 3] fit their texts, P of them, by every CLIP that there is: the mean of
        100 × cosine, which counts as 0 where it lies below."""
        found = {name: self.over_seeds(self.cosines(drawn, texts, name), name) for name in self.clips}
        return {name: at_least_0(score) for name, score in found.items()}

    def distances(self, drawn: np.ndarray, numbers: Sequence[int]) -> dict[str, Interval]:
        """FID and KID of pictures [P, n, S, S, 3], drawn for captions of P test pictures, to those pictures."""
        if len(numbers) < FEWEST:
            return {}
        real, found = np.asarray(self.test.images(drawn.shape[2]))[list(numbers)], {}
        for suffix, extractor in self.extractors.items():
            distances = image_distance.distance(real, flat(drawn), extractor, self.resamples, self.random("distance"))
            found |= {f"{name}{suffix}": Interval(**distances[name]) for name in ("fid", "kid")}
        return found

    def diversity(self, drawn: np.ndarray) -> Interval:
        """Mean distance of two pictures of one prompt, [P, n ≥ 2, S, S, 3], between features of length 1."""
        features = image_distance.features_of(self.extractors[""], flat(drawn)).numpy()
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        return self.mean(feature_diversity(features.reshape(*drawn.shape[:2], -1)), "diversity")

    def backgrounds(self, drawn: np.ndarray) -> np.ndarray:
        """The kind of background that the reader sees in every picture: names [P, n]."""
        return np.array([reading["background"] for reading in self.read(drawn)]).reshape(drawn.shape[:2])


def at_least_0(score: Estimate) -> Estimate:
    """A CLIP score as its authors define it."""
    value, low, high, *by_seed = (max(end, 0.0) for end in (score.value, score.low, score.high, *score.by_seed))
    return Estimate(value=value, low=low, high=high, n=score.n, by_seed=by_seed)


def flat(drawn: np.ndarray) -> np.ndarray:
    """[P, n, S, S, 3] → [P · n, S, S, 3]"""
    return drawn.reshape(-1, *drawn.shape[2:])
