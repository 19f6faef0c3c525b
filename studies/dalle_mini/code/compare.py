"""Stage dalle_mini/compare: DALL·E Mini against DALL·E, and what its training cost → results/<profile>/comparison/.

Nothing is trained or measured: every number follows from configurations and published facts
(dalle.py and costs.py beside this file, `lib.models.dalle_mini_original`), so it is the same in every profile.
"""

from typing import Any

from lib.evidence.tables import Number, write
from lib.models import dalle_mini_original
from lib.ownership import fresh
from studies.dalle_mini.code import costs, dalle
from studies.dalle_mini.code.costs import TPU_V3_8, Range, known
from studies.dalle_mini.code.reports import Comparison, Costs, Model, Models, TimesFewer
from studies.dalle_mini.code.settings import Params

CLAIMS = ["D1", "D2", "D3", "D4"]
COLUMNS = {
    "dalle": "DALL·E",
    "mini_2021": "DALL·E Mini 2021",
    "mini_2022": "DALL·E Mini 2022",
    "mega_2022": "DALL·E Mega 2022",
}


def run(params: Params) -> None:
    """Writes results/<profile>/compare_dalle.json and two tables of it."""
    out = params.results
    folder = out / "comparison"
    fresh(folder)
    compared = models()
    found = Comparison(models=compared, costs=training_costs(), times_fewer=times_fewer(compared))
    found.write(out / "compare_dalle.json")
    origin = {"stage": "dalle_mini/compare", "sources": ["studies/dalle_mini/code/compare.py"], "claims": CLAIMS}
    inputs = [out / "compare_dalle.json"]
    write(folder / "dalle_comparison", comparison(compared), **COMPARISON, inputs=inputs, **origin)
    write(folder / "dalle_costs", cost_rows(found.costs), **COSTS, inputs=inputs, **origin)


def models() -> Models:
    """What is compared, for each model, from its configuration."""
    large, first = dalle.DalleConfig(), dalle.FirstMiniConfig()
    large_count, first_count = (
        sum(parts.values()) for parts in (dalle.dalle_parameters(large), dalle.first_mini_parameters(first))
    )
    later = {}
    for key, name in (("mini_2022", "mini"), ("mega_2022", "mega")):
        config = dalle_mini_original.read_config(dalle_mini_original.original_config(name))
        # Encoder–decoders as the first one is, so their encoder attends in both directions.
        later[key] = describe(config, dalle_mini_original.count_parameters(config), first.text_reading, None)
    return Models(
        dalle=describe(
            large, large_count, large.text_reading, large.training_pairs, billions_rounded=round(large_count / 1e9)
        ),
        mini_2021=describe(first, first_count, first.text_reading, first.training_pairs),
        **later,
    )


def describe(config: Any, parameters: int, text_reading: str, training_pairs: int | None, **more: int) -> Model:
    """One model's entry; every configuration names these quantities alike."""
    return Model(
        parameters=parameters,
        image_vocabulary=config.codes,
        image_tokens=config.image_length,
        text_vocabulary=config.text_vocabulary,
        text_length=config.text_length,
        text_reading=text_reading,
        training_pairs=training_pairs,
        **more,
    )


def times_fewer(compared: Models) -> TimesFewer:
    """Parameters of DALL·E over those of the first DALL·E Mini: as counted, and with the paper's rounded 12 billion."""
    printed = dalle.DalleConfig().printed_parameters / compared.mini_2021.parameters
    counted = compared.dalle.parameters / compared.mini_2021.parameters
    return TimesFewer(counted=counted, printed=printed, printed_rounded=round(printed))


def training_costs() -> Costs:
    """The cost claims as arithmetic."""
    first, large = dalle.FirstMiniConfig(), dalle.DalleConfig()
    run, dalle_run, peak = costs.FirstMiniRun(), costs.DalleRun(), TPU_V3_8.peak
    forward = dalle.first_mini_forward_flops(first)
    parameters = sum(dalle.first_mini_parameters(first).values())
    planned = float(run.passes * first.training_pairs)
    pairs = Range(first.training_pairs, max(planned, run.pairs_by_speed))

    def share(count: Range | float) -> Range:
        return costs.utilisation(costs.training_flops(forward, count), run.hours, peak)

    dalle_flops = costs.training_flops(dalle.dalle_forward_flops(large), dalle_run.pairs)
    planned_flops = costs.training_flops(forward, planned)
    ranges = {
        "pair_flops": costs.training_flops(forward, 1),
        "pair_6nd_flops": known(costs.six_n_d(parameters, first.text_length + first.image_length)),
        "pairs": pairs,
        "pairs_planned": known(planned),
        "pairs_by_speed": known(run.pairs_by_speed),
        "training_flops": costs.training_flops(forward, pairs),
        "peak": peak,
        "hours": known(run.hours),
        "share": share(pairs),
        "planned_share": share(planned),
        "speed_share": share(run.pairs_by_speed),
        "later_run_share": share(float(run.passes * run.later_pairs)),
        "best_share": known(TPU_V3_8.best_utilisation),
        "dalle_training_flops": dalle_flops,
        "dalle_times_planned": dalle_flops / planned_flops,
        "dollars_on_demand": known(costs.price(run.hours, TPU_V3_8.on_demand)),
        "dollars_preemptible": known(costs.price(run.hours, TPU_V3_8.preemptible)),
        "break_even_dollars_per_hour": known(run.price_limit / run.hours),
        "break_even_hours_on_demand": known(run.price_limit / TPU_V3_8.on_demand),
        "break_even_hours_preemptible": known(run.price_limit / TPU_V3_8.preemptible),
    }
    return Costs(
        **{name: [value.low, value.high] for name, value in ranges.items()},
        three_days=costs.judge_time(ranges["share"], TPU_V3_8.best_utilisation),
        price=costs.judge_price(run.hours, run.price_limit, TPU_V3_8),
    )


COMPARISON = {
    "caption": "DALL·E Mini against DALL·E, from their configurations.",
    "source": "Source: studies/dalle_mini/code/dalle.py and lib/models/dalle_mini_original.py; nothing is measured.",
    "notes": [
        "The last column is DALL·E over DALL·E Mini 2021, the model of 'trained on a single TPU v3-8 for only 3 days'. "
        "Vocabularies, lengths and parameters are the configurations', padding rows and BOS left out of vocabularies. "
        "A dash: not published."
    ],
}


def comparison(compared: Models) -> list[dict]:
    """One row a quantity, one column a model, and the ratio that the claims are about."""
    rows = []
    for label, key, scale in (
        ("parameters (millions)", "parameters", 1e-6),
        ("image vocabulary", "image_vocabulary", None),
        ("image tokens", "image_tokens", None),
        ("text vocabulary", "text_vocabulary", None),
        ("text length (tokens)", "text_length", None),
        ("training pairs (millions)", "training_pairs", 1e-6),
    ):
        values = {name: getattr(model, key) for name, model in compared}
        cells = {
            title: Number(values[name] * scale, digits=1) if scale and values[name] else values[name]
            for name, title in COLUMNS.items()
        }
        ratio = Number(values["dalle"] / values["mini_2021"], digits=2)
        rows.append({"quantity": label, **cells, "ratio": ratio})
    directions = {COLUMNS[name]: model.text_reading for name, model in compared}
    return [*rows, {"quantity": "the text is read", **directions, "ratio": None}]


COSTS = {
    "caption": "What training DALL·E Mini took in July 2021, as arithmetic, and what DALL·E took.",
    "source": "Source: costs.py and dalle.py in studies/dalle_mini/code, which name where every fact is from.",
    "text_widths": {"quantity": 8.0, "unit": 2.5},
    "notes": [
        "'to' is empty where the quantity is known or follows from known ones. Operations are those of the model "
        "(backward = 2 × forward, nothing computed twice). The price is the TPU's alone: no host, storage, encoding of "
        "the pictures, fine-tuning of the image tokenizer or failed runs. The TPU was lent for free, so any "
        "price is what it would have cost.",
    ],
}
# Key in the results, what it is, factor into the unit, unit, decimals.
COST_ROWS = (
    ("pair_6nd_flops", "training on one pair, 6 × parameters × positions", 1e-12, "TFLOP", 3),
    ("pair_flops", "training on one pair, exact, with attention", 1e-12, "TFLOP", 3),
    ("pairs", "pairs seen: one pass over the data, to the most that the next two rows say", 1e-6, "million", 1),
    ("pairs_planned", "pairs seen, by the training script's number of passes", 1e-6, "million", 1),
    ("pairs_by_speed", "pairs seen, by the speed that a comment in the training code gives", 1e-6, "million", 1),
    ("training_flops", "training in all", 1e-18, "EFLOP", 2),
    ("peak", "peak of one TPU v3-8, as printed in two places", 1e-12, "TFLOP/s", 0),
    ("hours", "time claimed", 1, "h", 0),
    ("share", "share of the peak that this takes", 100, "%", 1),
    ("planned_share", "the same, by the number of passes", 100, "%", 1),
    ("speed_share", "the same, by the comment on speed", 100, "%", 1),
    ("later_run_share", "the same for the training script as last committed, run to its end", 100, "%", 1),
    ("best_share", "best published share on TPU v3 (LaMDA)", 100, "%", 1),
    ("dollars_preemptible", "price of the time claimed, preemptible", 1, "$", 2),
    ("dollars_on_demand", "price of the time claimed, on demand", 1, "$", 2),
    ("break_even_dollars_per_hour", "hourly price at which the claim stops holding", 1, "$/h", 2),
    ("break_even_hours_preemptible", "time that the claimed price buys, preemptible", 1, "h", 1),
    ("break_even_hours_on_demand", "time that the claimed price buys, on demand", 1, "h", 1),
    ("dalle_training_flops", "training of DALL·E", 1e-18, "EFLOP", 0),
    ("dalle_times_planned", "training of DALL·E over that of DALL·E Mini (by the number of passes)", 1, "×", 0),
)


def cost_rows(found: Costs) -> list[dict]:
    """One row a quantity, with both ends of its range."""
    rows = []
    for key, label, factor, unit, digits in COST_ROWS:
        low, high = getattr(found, key)
        top = Number(high * factor, digits=digits) if high != low else None
        rows.append({"quantity": label, "from": Number(low * factor, digits=digits), "to": top, "unit": unit})
    return rows
