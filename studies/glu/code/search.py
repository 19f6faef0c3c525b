"""Stage glu/search: in which setting do blocks differ most, per noise and minute? → build/glu/search.json.

Trains the ReLU and the GEGLU block shortly in every trial of section glu_search and measures their difference, the
noise of that difference over seeds and the processor time, on the validation split; the comparison itself is measured
on the test split, which this stage does not read.
"""

from pathlib import Path

import numpy as np

from lib.data.store import write_json
from lib.hardware import use_jax_devices
from lib.models import dalle_mini
from lib.pipeline.stage import training
from lib.text import TextTokenizer
from lib.training import seeds as paired
from studies.glu.code.comparison import BASELINE, FAVOURITE
from studies.glu.code.settings import Params, changed
from studies.glu.code.train_variants import TEXT, load_task, network_of, recipe_of, seed_numbers, train

OUT = Path("build/glu/search.json")
COMPARED = (BASELINE, FAVOURITE)


def run(params: Params) -> None:
    """Trains both blocks in every trial; a trial's weights are measured with and without averaging."""
    use_jax_devices(params.threads)  # seeds are split between them
    search, text = params.glu_search, TextTokenizer.load(TEXT)
    seeds = seed_numbers(params, search.seeds)
    where = training("glu/search", params)
    trials, tasks = {}, {}
    for name, changes in search.trials.items():
        changes = dict(changes)
        steps = changes.pop("steps", search.steps)
        setting = changed(search.base, changes)
        if setting.tokens not in tasks:
            tasks[setting.tokens] = {split: load_task(params, setting, text, split) for split in ("train", "val")}
        pictures = tasks[setting.tokens]
        held_out = pictures["val"].held_out(search.pictures)
        trial = {"changes": changes | {"steps": steps}, "averaged": {}, "last": {}, "cpu_minutes": 0.0}
        for block in COMPARED:
            network = network_of(setting, block, text, params, pictures["train"].tokens.shape[1])
            label = f"glu/search {name}, {block}"
            part = where.part(f"{name} {block}")
            trainee, _ = train(label, network, seeds, pictures["train"], recipe_of(setting, steps), part)
            # The median, since the first step also compiles.
            trial["cpu_minutes"] += float(np.median(trainee.cpu_seconds)) * steps / 60
            for key, weights in (("averaged", trainee.average), ("last", trainee.params)):
                trial[key][block] = paired.evaluate(trainee.model, weights, held_out, setting.batch_size).tolist()
            trial["parameters"] = dalle_mini.parameter_count(dalle_mini.shapes(network))
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
