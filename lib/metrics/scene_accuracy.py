"""Does the picture show what the prompt asks for? GenEval's question (Ghosh et al. 2023), asked of the scene reader.

A detector looks for the objects of the prompt; a picture is right or wrong as a whole. The reader's own accuracy on
real pictures (`reader_quality`) says how far its judgement can be trusted and is reported beside every result.
"""

import math
from dataclasses import asdict

import numpy as np

from lib.errors import EaselError
from lib.evidence.statistics import bootstrap, bootstrap_mean
from lib.models.reader import ATTRIBUTES, Reader, read
from lib.scenes.scene import RELATION_MARGIN, relation_holds
from lib.scenes.vocabulary import RELATIONS

# True centres are whole pixels, detected ones are off by fractions, which must not turn "holds" into "does not".
MARGIN = RELATION_MARGIN - 1
REACH = 6.0  # pixels between the centres of a detection and the object that it is matched with, at most


def satisfies(detections: list[dict], requirement: dict, category: str) -> bool:
    """Whether detected objects meet a prompt's requirement.

    Every object that the prompt names must be found, with its colour if it names one, at least `count` times, and
    exactly `count` times in the category "counting" ("three circles" is wrong with four). One detection serves one
    named object only. A relation must hold between the centres of some such assignment; GenEval looks at the best
    detection of each object, and with one object of each kind, as the prompts ask, this is the same.

    Args:
        detections: dicts with "shape", "colour", "x", "y".
        requirement: {"objects": [{"shape", "colour" or None, "count"}, …], "relation": None or [i, name, j]}.
    """
    wanted = requirement["objects"]
    candidates = [
        [i for i, found in enumerate(detections) if _matches(found, item)] for item in wanted
    ]  # indices of detections, for each named object
    if category == "counting" and any(
        len(found) != item["count"] for found, item in zip(candidates, wanted, strict=True)
    ):
        return False
    slots = [number for number, item in enumerate(wanted) for _ in range(item["count"])]
    return _assign(detections, candidates, slots, requirement["relation"], [])


def _matches(detection: dict, item: dict) -> bool:
    return detection["shape"] == item["shape"] and item["colour"] in (None, detection["colour"])


def _assign(detections: list, candidates: list, slots: list[int], relation: list | None, chosen: list[int]) -> bool:
    """Whether the slots after `chosen` can be filled with unused detections so that the relation holds."""
    if len(chosen) == len(slots):
        if relation is None:
            return True
        first, name, second = relation
        a, b = (detections[chosen[slots.index(number)]] for number in (first, second))
        return relation_holds((a["x"], a["y"]), name, (b["x"], b["y"]), MARGIN)
    return any(
        _assign(detections, candidates, slots, relation, [*chosen, index])
        for index in candidates[slots[len(chosen)]]
        if index not in chosen
    )


def accuracy(
    reader: Reader, images: np.ndarray, prompts: list[dict], generator: np.random.Generator, resamples: int
) -> tuple[dict, np.ndarray]:
    """Share of pictures that show what their prompts ask for, per category and overall.

    Args:
        images: uint8 [N, S, S, 3]; picture i was made for prompt i (repeat the prompts for several pictures each).
        prompts: N dicts with "category" and "require".

    Returns:
        {category: {"value", "low", "high", "n"}, …, "overall": …} and, for paired comparisons, bool [N]. "overall" is
        the mean over the categories, as in GenEval; its interval resamples within each category.

    Raises:
        EaselError: numbers of pictures and prompts differ, or a prompt requires nothing.
    """
    if len(images) != len(prompts) or not prompts:
        raise EaselError(f"scene accuracy: {len(images)} pictures for {len(prompts)} prompts; each needs the other.")
    for prompt in prompts:
        if not prompt["require"]:
            raise EaselError(f"scene accuracy: prompt {prompt['id']} does not say what its picture must show.")
    readings = read(reader, images)
    right = np.array(
        [satisfies(r["objects"], p["require"], p["category"]) for r, p in zip(readings, prompts, strict=True)]
    )
    return summary(right, [p["category"] for p in prompts], generator, resamples), right


def summary(right: np.ndarray, categories: list[str], generator: np.random.Generator, resamples: int) -> dict:
    """Means and intervals of bool [N] per category and overall; see `accuracy`."""
    names = list(dict.fromkeys(categories))
    groups = {name: right[[category == name for category in categories]].astype(float) for name in names}
    report = {}
    for name, values in groups.items():
        report[name] = asdict(bootstrap_mean(values, generator, resamples=resamples)) | {"n": len(values)}
    # Resampled means of each category, averaged draw by draw: a stratified bootstrap.
    draws = np.mean(
        [v[generator.integers(len(v), size=(resamples, len(v)))].mean(axis=1) for v in groups.values()], axis=0
    )  # [resamples]
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(np.mean([v.mean() for v in groups.values()]))
    report["overall"] = {"value": value, "low": float(low), "high": float(high), "n": len(right)}
    return report


def match(detections: list[dict], objects: list[dict]) -> list[tuple[int, int]]:
    """Pairs (detection, true object), nearest centres first, none further apart than REACH, each used once."""
    distances = sorted(
        (math.hypot(d["x"] - o["x"], d["y"] - o["y"]), i, j)
        for i, d in enumerate(detections)
        for j, o in enumerate(objects)
    )
    pairs: list[tuple[int, int]] = []
    for distance, i, j in distances:
        if distance <= REACH and all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return sorted(pairs, key=lambda pair: pair[1])


def reader_quality(
    readings: list[dict], scenes: list[dict], generator: np.random.Generator, resamples: int
) -> dict[str, dict[str, float]]:
    """The reader's own accuracy on pictures whose truth is known.

    Returns:
        {"value", "low", "high"} for each of: "shape", "colour", "size", "texture" (of the objects found); "count"
        (pictures with exactly the true number of objects); "relation" (pairs of found objects for which all four
        relations come out right); "background" (its kind); "precision" and "recall" (of objects); "picture" (number,
        shapes and colours of all objects right at once). Intervals resample pictures, since the objects of one
        picture are not independent.
    """
    hits = {name: np.zeros((len(scenes), 2)) for name in (*ATTRIBUTES, *_PER_PICTURE)}  # [pictures, (right, asked)]
    for row, (reading, scene) in enumerate(zip(readings, scenes, strict=True)):
        found, true = reading["objects"], scene["objects"]
        pairs = match(found, true)
        for name in ATTRIBUTES:
            hits[name][row] = sum(found[i][name] == true[j][name] for i, j in pairs), len(pairs)
        hits["count"][row] = len(found) == len(true), 1
        hits["background"][row] = reading["background"] == scene["background"]["kind"], 1
        hits["precision"][row] = len(pairs), len(found)
        hits["recall"][row] = len(pairs), len(true)
        whole = all(found[i][name] == true[j][name] for i, j in pairs for name in ("shape", "colour"))
        hits["picture"][row] = whole and len(pairs) == len(found) == len(true), 1
        couples = [(p, q) for k, p in enumerate(pairs) for q in pairs[k + 1 :]]
        hits["relation"][row] = sum(_relations_agree(found, true, p, q) for p, q in couples), len(couples)
    return {
        name: asdict(bootstrap(rows, _ratio, generator, resamples=resamples))
        for name, rows in hits.items()
        if rows[:, 1].any()
    }


_PER_PICTURE = ("count", "relation", "background", "precision", "recall", "picture")


def _relations_agree(found: list[dict], true: list[dict], p: tuple[int, int], q: tuple[int, int]) -> bool:
    seen = [(found[i]["x"], found[i]["y"]) for i, _ in (p, q)]
    real = [(true[j]["x"], true[j]["y"]) for _, j in (p, q)]
    return all(relation_holds(seen[0], r, seen[1], MARGIN) == relation_holds(real[0], r, real[1]) for r in RELATIONS)


def _ratio(rows: np.ndarray) -> np.ndarray:
    """Right per asked over resampled pictures: [R, N, 2] → [R]."""
    right, asked = rows.sum(axis=1).T
    return right / np.maximum(asked, 1)
