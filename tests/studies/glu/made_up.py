"""Small made-up reports of the study's stages, complete enough to be read and evaluated."""

from functools import cache

from lib.models.layout import BLOCKS
from studies.glu.code import reports
from studies.glu.code.evaluate import evaluated
from studies.glu.code.settings import GluSetting

SETTING = GluSetting(
    width=64,
    encoder_layers=1,
    decoder_layers=3,
    heads=2,
    feed_forward=384,
    multiple=1,
    norm_placement="preln",
    init_std=0.125,
    batch_size=16,
    warmup=0.05,
    decay=0.8,
    averaging=0.05,
)
SEEDS = list(range(5))
CURVE = reports.Curve(step=[1], nats=[[1.0] * 5])


def training(offset, steps):
    nats = [2 + offset + 0.1 * seed for seed in SEEDS]
    return reports.Training(steps=steps, nats=nats, curve=CURVE, training=CURVE)


def variant(offset, short):
    lengths = {"short": training(offset, 10)} if short else {}
    return reports.Variant(parameters=1000, inner=8, long=training(offset - 0.5, 40), **lengths)


def blocks(offsets=(0.0, 0.02, 0.03, -0.01, -0.02, -0.03, -0.05, -0.04)):
    """All blocks, by default in an order much like the paper's; two of them trained shortly as well."""
    found = zip(BLOCKS, offsets, strict=True)
    return {block: variant(offset, block in ("relu", "geglu")) for block, offset in found}


def variants(**tokens):
    """Coarse tokens, and others with blocks of their own."""
    given = {"coarse": blocks()} | tokens
    made = {name: reports.Comparison(learning_rate=1e-3, seeds=SEEDS, blocks=own) for name, own in given.items()}
    return reports.Variants(tokens=made)


def layout(name, nats):
    return reports.LayoutTraining(layout=name, parameters=1000, nats=nats, training=CURVE)


def switches(rise=(0.10, 0.12, 0.10, 0.12, 0.11), expected="higher"):
    """One finding, whose treatment's loss is higher by `rise`, and two placements with trouble beside two without."""
    calm = reports.HighRate(spikes=[0] * 5, lost=[False] * 5, final=[1.0] * 5, training=CURVE)
    wild = calm.model_copy(update={"spikes": [3, 1, 2, 1, 2]})
    bias = reports.Switch(
        finding="slower and worse",
        expected=expected,
        baseline=layout("default", [1.0] * 5),
        treatment=layout("bias true", [1.0 + more for more in rise]),
        step_seconds=reports.StepSeconds(baseline=[0.1] * 9, treatment=[0.11] * 9),
    )
    placements = {"preln": wild, "postln": wild, "normformer": calm, "cogview": calm}
    return reports.Switches(
        learning_rate=1e-3,
        seeds=SEEDS,
        steps=10,
        high_steps=10,
        rise=0.5,
        unigram_nats=4.0,
        switches={"bias": bias},
        placements={name: {"0.1": run} for name, run in placements.items()},
    )


def block_cost(seconds, working):
    """Of a block that takes so many seconds, if it was timed, and so many bytes."""
    timed = {"step_seconds": [seconds] * 5, "picture_seconds": [seconds] * 5} if seconds else {}
    return reports.BlockCost(
        parameters=10,
        inner=4,
        flops_forward=1,
        flops_training=3,
        xla_flops=4.0,
        peak_bytes=2 * working,
        working_bytes=working,
        **timed,
    )


def cost(**more):
    """One size, with blocks of seconds and bytes beside ReLU, ReGLU and GEGLU."""
    sizes = {"relu": (1.0, 8), "reglu": (None, 9), "geglu": (1.25, 9)} | more
    blocks = {block: block_cost(*needs) for block, needs in sizes.items()}
    size = reports.SizeCost(setting=SETTING, batch_size=8, drawn=4, blocks=blocks)
    return reports.Cost(machine={"cores": 2}, threads=1, repetitions=5, sizes={"own": size})


def search():
    numbers = ("effect", "noise", "seed_noise", "ratio")
    trial = reports.Trial(relu=[2.0, 2.1], geglu=[1.9, 2.0], **dict.fromkeys(numbers, 0.1))
    trials = {"0.001": trial, "0.004": trial}
    tasks = {task: reports.Searched(steps=5, trials=trials, chosen=0.004) for task in ("coarse", "text")}
    return reports.Search(seeds=[1000, 1001], blocks=["relu", "geglu"], tasks=tasks)


def text(**nats):
    """Captions with gaps; losses of blocks, over seeds."""
    entropy = dict.fromkeys(("unigram", "compressed", "targets_unigram", "distinct"), 0.5)
    variants = {block: reports.TextTraining(nats=values, training=CURVE) for block, values in nats.items()}
    return reports.Text(
        learning_rate=1e-3, seeds=SEEDS, steps=10, gaps=3, targets=13, caption_entropy=entropy, variants=variants
    )


@cache
def results():
    """Of the whole study."""
    return evaluated(variants(), search(), text(relu=[2.0] * 5, geglu=[1.9] * 5), cost(), switches())
