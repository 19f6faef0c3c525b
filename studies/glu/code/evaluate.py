"""Stage glu/evaluate: what the trainings and measurements of the GLU study say → results/<profile>/glu.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np

from lib.evidence import inference
from lib.evidence.ledger import MINIMUM_SEEDS
from lib.evidence.report import Pairs, Values
from lib.evidence.statistics import differences
from lib.models.glu import FFN, GLU
from lib.models.layout import BLOCKS, Layout, matched_width
from studies.glu.code import comparison, reports
from studies.glu.code.comparison import BASELINE, FAVOURITE, MARGIN, PAIRS
from studies.glu.code.settings import TASK_OF_TEXT, TWO_LENGTHS, Params

BUILD = Path("build/glu")
PAPER_WIDTH, PAPER_INNER = 768, 3072  # T5-base
NATS, SEEDS, ROUNDS = "nats a token", "training seeds", "repetitions, timed in turn"
VERDICTS = {1: "agrees", -1: "contradicts", 0: "inconclusive"}  # on a finding, by the side of what is tested


def run(params: Params) -> None:
    """Reads all reports of the study, compares, writes the numbers."""
    found = evaluated(
        reports.Variants.read(BUILD / "variants.json"),
        reports.Search.read(BUILD / "search.json"),
        reports.Text.read(BUILD / "text.json"),
        reports.Cost.read(BUILD / "cost.json"),
        reports.Switches.read(BUILD / "switches.json"),
    )
    found.write(params.results / "glu.json")


def evaluated(
    variants: reports.Variants,
    search: reports.Search,
    text: reports.Text,
    cost: reports.Cost,
    switches: reports.Switches,
) -> reports.Results:
    """All that follows from the stages' reports."""
    main = variants.tokens[TWO_LENGTHS].blocks
    return reports.Results(
        variants={tokens: compared(one.blocks) for tokens, one in variants.tokens.items()},
        claims=claims(variants, text, switches),
        parameters=parameters(main),
        steps_saved=steps_saved(main),
        search=search,
        text=reports.EvaluatedText(**text.plain(), compared=compared_text(text)),
        cost=reports.EvaluatedCost(**cost.plain(), gains=gains(cost), memory=memory(cost)),
        switches=reports.EvaluatedSwitches(**switches.plain() | {"switches": judged(switches)}),
        curves={
            tokens: {block: entry.long.curve for block, entry in one.blocks.items()}
            for tokens, one in variants.tokens.items()
        },
    )


def compared(variants: Mapping[str, reports.Variant]) -> reports.Lengths[reports.Compared]:
    """Losses after both lengths of training, each of the blocks that have it."""
    found = {}
    for length in ("short", "long"):
        trained = {block: one for block, entry in variants.items() if (one := getattr(entry, length))}
        if trained:
            nats = {block: entry.nats for block, entry in trained.items()}
            found[length] = reports.Compared(
                steps=trained[BASELINE].steps, blocks=against_baseline(nats), nats=nats, **ranks(nats)
            )
    return reports.Lengths[reports.Compared](**found)


def ranks(nats: Mapping[str, Sequence[float]]) -> dict[str, reports.RankCorrelation]:
    """The agreement with the paper's order, where all blocks are there."""
    if set(nats) != set(BLOCKS):
        return {}
    return {"rank_correlation": reports.RankCorrelation(**comparison.rank_correlation(nats))}


def against_baseline(nats: Mapping[str, Sequence[float]]) -> dict[str, reports.Block]:
    """Every block's losses [seeds] as mean and spread, and its difference to the ReLU block seed by seed."""
    found = {}
    for block, values in nats.items():
        given = {} if block == BASELINE else {"difference": reports.Difference.of(differences(nats[BASELINE], values))}
        found[block] = reports.Block(mean=float(np.mean(values)), sd=float(np.std(values, ddof=1)), **given)
    return found


def claims(variants: reports.Variants, text: reports.Text, switches: reports.Switches) -> reports.Claims:
    """What claims.yaml decides by, as far as it was measured."""
    tasks = {
        tokens: {block: entry.long.nats for block, entry in one.blocks.items()}
        for tokens, one in variants.tokens.items()
    }
    tasks[TASK_OF_TEXT] = {block: entry.nats for block, entry in text.variants.items()}
    found = {
        "tasks": {task: of_blocks(nats) for task, nats in tasks.items()},
        "placements": Pairs(
            baseline=trouble(switches.placements, ("preln", "postln")),
            treatment=trouble(switches.placements, ("normformer", "cogview")),
            unit="spikes and lost runs a training",
            seeds_are=SEEDS,
        ),
    }
    for name, key in (("bias", "bias_loss"), ("final_norm", "final_norm")):
        if switch := switches.switches.get(name):
            both = {"baseline": switch.baseline.nats, "treatment": switch.treatment.nats}
            found[key] = Pairs(**both, unit=NATS, seeds_are=SEEDS)
    if bias := switches.switches.get("bias"):
        times = {side: [1000 * time for time in values] for side, values in bias.step_seconds}
        found["bias_time"] = Pairs(**times, unit="ms a step", seeds_are=ROUNDS)
    return reports.Claims(**found)


def of_blocks(nats: Mapping[str, Sequence[float]]) -> reports.BlockClaims:
    """What losses [seeds] of the blocks say of the paper's claims: of its order only if all blocks are there."""
    found = {"geglu": Pairs(baseline=nats[BASELINE], treatment=nats[FAVOURITE], unit=NATS, seeds_are=SEEDS)}
    if set(nats) == set(BLOCKS):
        agreement = comparison.beyond_chance(comparison.rank_correlation(nats)["mean"])
        found["order"] = reports.Range(
            **asdict(agreement), unit="rank correlation more than by chance", over="all orders with gated blocks first"
        )
        found["ungated"] = Values(values=comparison.ungated_against_relu(nats), unit=NATS, seeds_are=SEEDS)
    return reports.BlockClaims(**found)


def trouble(placements: Mapping[str, Mapping[str, reports.HighRate]], names: Sequence[str]) -> list[float]:
    """Per seed: loss spikes plus lost runs, averaged over the placements `names` and all learning rates."""
    counts = [np.add(run.spikes, np.asarray(run.lost, int)) for name in names for run in placements[name].values()]
    return np.mean(counts, axis=0).tolist()


def parameters(variants: Mapping[str, reports.Variant]) -> reports.Parameters:
    """Parameters of the trained networks and of the paper's blocks."""
    ours = {block: entry.parameters for block, entry in variants.items()}
    paper = {block: block_parameters(block, PAPER_WIDTH, PAPER_INNER) for block in BLOCKS}
    return reports.Parameters(
        ours=ours,
        spread=max(ours.values()) / min(ours.values()) - 1,
        paper_blocks=paper,
        paper_distinct=sorted(set(paper.values())),
    )


def block_parameters(block: str, width: int, inner: int) -> int:
    """Parameters of one feed-forward block, its width matched to ungated ones of `inner`, counted from its arrays."""
    gated, activation = BLOCKS[block]
    layout = Layout(gated=gated, activation=activation, norm_placement="postln")  # no norms inside the block
    module = (GLU if gated else FFN)(layout, width, matched_width(inner) if gated else inner)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, width), np.float32))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def steps_saved(variants: Mapping[str, reports.Variant]) -> reports.StepsSaved:
    """By GEGLU, seed by seed, and in the paper."""
    relu, geglu = variants[BASELINE], variants[FAVOURITE]
    ends = zip(relu.long.nats, geglu.short.nats, geglu.long.nats, strict=True)
    values = [comparison.steps_saved(*end, geglu.long.steps / geglu.short.steps) for end in ends]
    return reports.StepsSaved(values=values, unit="%", seeds_are=SEEDS, paper=comparison.paper_steps_saved())


def compared_text(text: reports.Text) -> reports.TextCompared:
    """The comparison on captions with gaps, and which blocks are told apart from ReLU there."""
    nats = {block: entry.nats for block, entry in text.variants.items()}
    found = sides({block: differences(nats[BASELINE], nats[block]) for block in nats if block != BASELINE})
    told_apart = [block for block, side in found.items() if side]
    return reports.TextCompared(blocks=against_baseline(nats), told_apart=told_apart, **ranks(nats))


def sides(tests: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """On which side of 0 the means of values [seeds] lie by the rule of verdicts: 1, −1, or 0 for undecided.

    Holm's correction counts these tests. Up to seventeen, the bound on p for skewed differences is the stricter one, so
    that a claim on the same differences, corrected among others, gets the same answer.
    """
    if not tests:
        return {}
    values = np.array(list(tests.values()))  # [tests, seeds]
    seeds, p = values.shape[1], inference.t_p(values)
    certain = inference.decided(p, inference.holm(p), seeds) & (seeds >= MINIMUM_SEEDS)
    return dict(zip(tests, np.where(certain, np.sign(values.mean(axis=1)), 0).astype(int).tolist(), strict=True))


def judged(switches: reports.Switches) -> dict[str, reports.EvaluatedSwitch]:
    """The report's findings beside ours; losses that differ by less than MARGIN count as equal."""
    values, tests = {}, {}
    for name, switch in switches.switches.items():
        found = values[name] = differences(switch.baseline.nats, switch.treatment.nats)
        if switch.expected == "equal":
            tests[name] = -inference.outside(found, MARGIN)
        else:
            tests[name] = (found if switch.expected == "higher" else -found) - MARGIN
    return {
        name: reports.EvaluatedSwitch(
            **switches.switches[name].plain(), difference=reports.Difference.of(values[name]), verdict=VERDICTS[side]
        )
        for name, side in sides(tests).items()
    }


def gains(cost: reports.Cost) -> dict[str, reports.Gains]:
    """How many percent faster GEGLU is than ReLU, by size."""
    found = {}
    for size, entry in cost.sizes.items():
        relu, geglu = entry.blocks[BASELINE], entry.blocks[FAVOURITE]
        training = comparison.speed_gain(relu.step_seconds, geglu.step_seconds)
        drawing = comparison.speed_gain(relu.picture_seconds, geglu.picture_seconds)
        found[size] = reports.Gains(
            training=Values(values=training, unit="% faster", seeds_are=ROUNDS),
            drawing=Values(values=drawing, unit="% faster", seeds_are=ROUNDS),
        )
    return found


def memory(cost: reports.Cost) -> reports.Memory:
    """Working memory, gated over ungated, of every pair at every size."""
    ratios = {}
    for size, entry in cost.sizes.items():
        needed = {block: measured.working_bytes for block, measured in entry.blocks.items()}
        ratios[size] = {
            f"{gated} / {plain}": needed[gated] / needed[plain]
            for plain, gated in PAIRS.items()
            if {plain, gated} <= set(needed)
        }
    every = [ratio for pairs in ratios.values() for ratio in pairs.values()]
    if not every:
        return reports.Memory(ratios=ratios)
    ends = {"value": float(np.mean(every)), "low": min(every), "high": max(every)}
    rise = reports.Range(**ends, unit="times the ungated block's", over=f"{len(every)} pairs of blocks, at all sizes")
    return reports.Memory(ratios=ratios, rise=rise)
