"""Stage glu/search: in which setting do blocks differ most, per noise and minute? → build/glu/search.json.

Trains the ReLU and the GEGLU block shortly in every trial of section glu_search and measures their difference, the
noise of that difference over seeds and the processor time, on the validation split; the comparison itself is measured
on the test split, which this stage does not read.
"""

from pathlib import Path

import numpy as np

from lib.data.store import write_json
from lib.pipeline import parts
from lib.weights import checkpoint
from studies.glu.code.comparison import BASELINE, FAVOURITE
from studies.glu.code.settings import Params
from studies.glu.code.train_variants import part, seed_numbers

OUT = Path("build/glu/search.json")
COMPARED = (BASELINE, FAVOURITE)


def run(params: Params) -> None:
    """Trains both blocks in every trial; a trial's weights are measured with and without averaging."""
    search = params.glu_search
    seeds = seed_numbers(params, search.seeds)
    measured = {"split": "val", "pictures": search.pictures}
    steps = {name: changes.get("steps", search.steps) for name, changes in search.trials.items()}
    found = parts.run(
        "glu/search",
        [
            part(params, f"{name}, {block}", search.setting_of(name), block, seeds, steps[name], measured=measured)
            for name in search.trials
            for block in COMPARED
        ],
    )
    trials = {}
    for name, changes in search.trials.items():
        changes = {key: changes[key] for key in changes if key != "steps"} | {"steps": steps[name]}
        trial = {"changes": changes, "averaged": {}, "last": {}, "cpu_minutes": 0.0}
        for block in COMPARED:
            arrays, numbers = checkpoint.load(found[f"{name}, {block}"])
            trial["cpu_minutes"] += numbers["cpu_minutes"]
            for key in ("averaged", "last"):
                trial[key][block] = arrays[key].tolist()
            trial["parameters"] = numbers["parameters"]
        for key in ("averaged", "last"):
            trial[key] |= power(*(trial[key][block] for block in COMPARED), trial["cpu_minutes"])
        trials[name] = trial
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, {"seeds": seeds, "blocks": list(COMPARED), "trials": trials})


def power(baseline: list[float], treatment: list[float], minutes: float) -> dict[str, float]:
    """How clearly a trial tells two blocks apart.

    Returns:
        effect: mean paired difference, treatment − baseline, in nats a token.
        noise: standard deviation of the paired differences over the seeds.
        seed_noise: standard deviation of the baseline over the seeds, what unpaired runs would have to fight.
        ratio: −effect / noise, positive where the treatment is better.
        ratio_per_root_minute: ratio / √minutes. With n seeds the t value is ratio × √n, and seeds cost minutes in
            proportion: so among trials of one cost per seed this is what the t value of any number of seeds follows.
    """
    differences = np.subtract(treatment, baseline)
    noise = float(differences.std(ddof=1))
    ratio = float(-differences.mean() / noise)
    return {
        "effect": float(differences.mean()),
        "noise": noise,
        "seed_noise": float(np.std(baseline, ddof=1)),
        "ratio": ratio,
        "ratio_per_root_minute": ratio / float(np.sqrt(minutes)),
    }
