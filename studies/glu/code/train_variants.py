"""Stage glu/train_variants: every feed-forward block, every seed, on every kind of tokens → build/glu/variants.json."""

from pathlib import Path

from lib.pipeline import parts
from studies.glu.code import reports
from studies.glu.code.settings import Params
from studies.glu.code.training_parts import chosen_rate, picture_part, results, seed_numbers, thinned

OUT = Path("build/glu/variants.json")


def run(params: Params) -> None:
    """Trains all blocks at the rate that was searched for, each length with a schedule of its own; measures on test."""
    settings = params.glu_variants
    seeds = {tokens: seed_numbers(params, one.seeds) for tokens, one in settings.tokens.items()}
    rates = {tokens: chosen_rate(tokens) for tokens in settings.tokens}
    measured = {"split": "test", "pictures": settings.pictures}
    curve = {"split": "val", "pictures": settings.curve_pictures, "points": settings.curve_points}
    trainings = []
    for tokens, one in settings.tokens.items():
        for block in settings.variants:
            lengths, rate = one.lengths(block), {"learning_rate": rates[tokens]}
            recipes = {length: {"steps": steps} | rate for length, steps in lengths.items()}
            given = (f"{tokens}, {block}", tokens, block, seeds[tokens], recipes)
            trainings.append(picture_part(params, *given, measured=measured, curve=curve))
    paths = parts.run("glu/train_variants", trainings)

    found = {}
    for tokens, one in settings.tokens.items():
        blocks = {}
        for block in settings.variants:
            arrays, numbers = results(paths[f"{tokens}, {block}"])
            trained = {
                length: reports.Training(
                    steps=steps,
                    nats=arrays[length]["nats"].tolist(),
                    curve=reports.Curve(step=numbers["measured"][length], nats=arrays[length]["curve"].tolist()),
                    training=reports.Curve(**thinned(arrays[length]["losses"])),
                )
                for length, steps in one.lengths(block).items()
            }
            blocks[block] = reports.Variant(parameters=numbers["parameters"], inner=numbers["inner"], **trained)
        found[tokens] = reports.Comparison(learning_rate=rates[tokens], seeds=seeds[tokens], blocks=blocks)
    reports.Variants(tokens=found).write(OUT)
