"""Settings, claims, tables and figures of the study fit together: made-up numbers of all that params.yaml plans go
through everything that reads them. What would fail at the end of a long run fails here."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot

from lib.evidence import ledger
from lib.evidence.report import Estimate
from lib.evidence.results import find
from lib.evidence.tables import write_all
from studies.sjd2.code import (
    answers,
    claims,
    comparisons,
    equality,
    evaluate,
    figures,
    measures,
    mechanics,
    replies,
    tables,
)
from studies.sjd2.code.choice import Choice, Chosen, Tried
from studies.sjd2.code.evaluate import measured
from studies.sjd2.code.reports import (
    Accuracy,
    Case,
    Chance,
    Decoded,
    DecodedGroup,
    Drafter,
    DraftTuned,
    Exactness,
    Gains,
    Group,
    Initial,
    Margins,
    Model,
    Network,
    Results,
    Row,
    Sampling,
    TextComparison,
    Trace,
)
from studies.sjd2.code.settings import DecodingRunParams
from studies.sjd2.code.systems import systems
from studies.sjd2.code.text import NAMES
from tests import house

PARAMS = house.params("sjd2")
LEDGER = ledger.load(house.REPOSITORY / "studies/sjd2/claims.yaml", "sjd2")
RANDOM = np.random.default_rng(0)


class Watched(dict):
    """A mapping of groups that notes which of them are looked at."""

    def __init__(self, groups):
        super().__init__(groups)
        self.seen = set()

    def __getitem__(self, name):
        self.seen.add(name)
        return super().__getitem__(name)


def estimate(units, about=1.0):
    return Estimate.of(about + 0.1 * RANDOM.random(units), "plan")


def choice():
    """The last of all settings, for every decoder and network."""
    found = {}
    for name, decoder in PARAMS.sjd2_choice.decoders.items():
        for one in decoder.one_by_one(name).values():
            options = {key: "inf" if value == float("inf") else value for key, value in one.options.items()}
            tried = Tried(options=options, steps=one.steps, compression=3.0, nats=0.0, good=True)
            chosen = Chosen(decoder=one.decoder, options=options, steps=one.steps, tried=[tried])
            found.setdefault(name, {})[one.network] = chosen
    return Choice(captions=1, margin=0.05, decoders=found)


def decoded(name, group):
    """Numbers of a group as stage decode leaves them."""
    runs, rows = {}, [Row(id=f"test-{n}", kind="caption", picture=n, text="a star") for n in range(3)]
    base = PARAMS.base(next(iter(group.single.values())).network)
    side = PARAMS.autoregressive.models[base].pictures // PARAMS.stride(base)
    shape = (group.units, len(rows))
    for key, run in group.single.items():
        one = choice().resolve(run)
        sampling = {n: getattr(PARAMS.decoding, n) for n in ("guidance", "temperature", "top_k")} | dict(one.sampling)
        passes = RANDOM.integers(side + 30, 2 * side + 30, shape)
        per_token = 2.0 * sampling["temperature"]
        likelihood = {"nats": RANDOM.random(shape), "entropy": per_token + RANDOM.random(shape)}
        if PARAMS.judged(base):
            likelihood["judged"] = RANDOM.random(shape)
        if sampling["temperature"] == 0:
            del likelihood["entropy"]
        slots = one.options.get("trace_slots", 0)
        runs[key] = Decoded(
            network=one.network,
            decoder=one.decoder,
            chosen=run.chosen,
            options={n: "inf" if value == float("inf") else value for n, value in one.options.items()},
            steps=one.steps,
            sampling=Sampling(**sampling),
            passes=passes.tolist(),
            accepted=RANDOM.integers(1, 9, (group.units, 6)).tolist(),
            flops_per_token=1.0 if one.decoder == "autoregressive" else 8.0,
            cache_bytes=9,
            **{kind: values.tolist() for kind, values in likelihood.items()},
            **({"seconds": [2.0 + RANDOM.random() for _ in range(group.units)]} if group.timed else {}),
            **({"network_seconds": [1.9] * group.units} if group.timed else {}),
            trace=Trace(
                changes=RANDOM.random((group.units, slots)).tolist(),
                looked_at=np.ones((group.units, slots), int).tolist(),
                a_token=RANDOM.random(group.units).tolist(),
            )
            if slots
            else None,
        )
    shared = {"over": group.over, "units": group.units, "length": side**2, "columns": side, "batch_size": 3}
    return DecodedGroup(**shared, machine={}, threads=1, rows=rows, rows_of_tokens=side, runs=runs)


def described(name, group):
    """A group as stage evaluate describes it, with made-up looks."""
    runs = {}
    for key, entry in group.runs.items():
        part = PARAMS.autoregressive.models[PARAMS.base(entry.network)].part  # with categories of its own
        categories = {category: estimate(group.units, 0.5) for category in ("captions", part)}
        exact = Accuracy(**estimate(group.units, 0.5).plain(), categories=categories)
        looks = {"exact": exact, "accuracy": exact}
        if name in evaluate.WHOLE:
            looks |= {kind: estimate(group.units) for kind in ("clip_score", "fid", "kid")}
        runs[key] = measured(f"{name} {key}", entry, group, looks, 2048)
    for key, found in runs.items():
        plain = evaluate.same_sampling(runs, found)
        if plain and plain != key:
            compared = evaluate.Against(**evaluate.against(runs[plain], found, key), run=plain, identical=1.0)
            runs[key] = found.model_copy(update={"against": compared})
    shape = {key: getattr(group, key) for key in evaluate.GroupShape.model_fields}
    return Group(**shape, rows={"prompt": 0, "caption": len(group.rows)}, runs=runs)


@pytest.fixture(scope="module")
def report():
    """Results of a whole run of the laptop profile, in which every number is made up."""
    raw = {name: decoded(name, group) for name, group in PARAMS.decoding.groups.items()}
    groups = {name: described(name, group) for name, group in raw.items()}
    losses = {name: estimate(5) for name in ("untuned", "tuned", "rise", "rise_val")}
    networks = {
        name: Network(
            model=one.model,
            updates=one.training.steps,
            updates_share=0.1,
            **losses,
            levels=one.levels,
            standardize=one.standardize,
            table_deviation=one.table_deviation,
            spacing=one.spacing,
            clean_share=one.clean_share,
            nats_per_level=[0.5, None, 2.0],
            after_noise=estimate(5),
            deviation_after=1.0,
        )
        for name, one in PARAMS.sjd2.variants.items()
    }
    drafts = {
        name: DraftTuned(
            model=one.model, updates=9, updates_share=0.1, **losses, drafted=one.drafted, passes=one.passes
        )
        for name, one in PARAMS.draft_tuning.variants.items()
    }
    model = Model(parameters=9, pictures=9, nats_per_token=estimate(5), caption_gain=estimate(5))
    names = ("SJD, coupling maximal", "SJD2, clean slots, no keep rule, ratio", "SJD2, clean slots, keep rule 0.5")
    case = {"lossless": True, "pictures": 9, "total_variation": 0.1, "by_chance": Chance(mean=0.1, most=0.2)}
    cases = {name: Case(**case, p=0.4, tokens_a_pass=2.0, same_in_batches_of={"1": 1.0}) for name in names}
    gains = Gains(simple=[0.2] * 8, textured=[0.1] * 8)
    initial = {kind: {ground: estimate(8) for ground in ("plain", "speckled")} for kind in ("one_hot", "left", "above")}
    made = Results(
        margins=Margins(accuracy=measures.ACCURACY_MARGIN, nats=measures.NATS_MARGIN),
        random_codes=12.0,
        choice=choice(),
        groups=groups,
        models={name: model for name in PARAMS.autoregressive.models},
        networks=networks,
        draft_tuned=drafts,
        drafters={name: Drafter(parameters=9, overlap=[estimate(2)]) for name in ("eagle", "medusa")},
        surface=comparisons.surface(groups),
        initial=Initial(compression=initial, gains=gains),
        control=comparisons.control(groups),
        most_overhead=comparisons.most_overhead(groups),
        exactness=Exactness(pictures=9, again=2, codes=3, cases=cases),
        text=TextComparison(
            parameters=9,
            updates=3,
            length=8,
            rows=2,
            nats=estimate(5),
            compression={name: estimate(5) for name in NAMES},
            sample="a star",
        ),
    )
    found = claims.claims(made)
    return made.model_copy(update={"claims": found, "equality": equality.of_groups(raw, len(found))})


def test_every_claim_of_the_ledger_finds_its_numbers(report):
    wanted = {one.metric.key.split(".")[1] for one in LEDGER.claims if one.metric and one.metric.results == "sjd2.json"}
    assert set(report.claims) == wanted


def test_every_requirement_finds_its_number(report):
    plain = report.plain()
    for one in LEDGER.bench:
        assert find(plain, one.key) is not None, one.id


def test_claims_have_as_many_units_as_the_ledger_asks_for(report):
    for one in LEDGER.claims:
        claim = report.claims[one.metric.key.split(".")[1]]
        values = getattr(claim, "values", getattr(claim, "baseline", None))
        if values is not None:
            assert len(values) >= one.metric.minimum_seeds, one.id


def test_all_tables_have_rows(report, tmp_path):
    written = tables.all_tables(report)
    assert [name for name, rows, _ in written if not rows] == []
    write_all(tmp_path / "tables", written, profile="laptop", stage="sjd2/tables", sources=[], inputs=[])
    assert len(list(systems(PARAMS, report))) == 5
    assert len(answers.answers(report)) >= 10


def test_all_figures_are_drawn(report):
    drawn = [getattr(module, name) for module in (figures, mechanics) for name in FIGURES if hasattr(module, name)]
    assert len(drawn) == len(FIGURES)
    for draw in drawn:
        assert draw(report) is not None, draw.__name__
        pyplot.close("all")


FIGURES = ("tradeoff", "control", "tuning", "exactness", "latency", "on_text")
FIGURES += ("levels", "embeddings", "entropy", "surface", "window_per_step", "stability", "accepted", "windows")


def test_every_question_of_the_notebook_has_an_answer(report):
    asked = [one for _, one in inspect.getmembers(replies, inspect.isfunction) if one.__module__ == replies.__name__]
    asked = [one for one in asked if next(iter(inspect.signature(one).parameters)) == "report"]
    assert asked and [one.__name__ for one in asked if one(report) == replies.LEFT_OUT] == []


def test_every_group_is_read(report):
    watched = Watched(report.groups)
    again = report.model_copy(update={"groups": watched})
    claims.claims(again)
    tables.all_tables(again)
    assert watched.seen == set(PARAMS.decoding.groups)


def test_kept_pictures_are_of_runs_that_there_are(report):
    for group, network, role in evaluate.KEPT:
        assert measures.pick(report.groups[group].runs, network, role), (group, network, role)


def test_every_tuning_is_decoded():
    used = {run.network for group in PARAMS.decoding.groups.values() for run in group.single.values()}
    tuned = {*PARAMS.sjd2.changes, *(f"drafts:{name}" for name in PARAMS.draft_tuning.variants)}
    assert tuned <= used
    bases = {PARAMS.base(network) for network in used}
    assert bases == set(PARAMS.autoregressive.models) - {PARAMS.autoregressive.judge}


def test_a_choice_is_laid_below_a_run():
    run = choice().resolve(DecodingRunParams(chosen="sjd2", network="large", options={"accept": "denoised"}))
    assert run.decoder == "sjd2" and run.steps == 8 and run.options["accept"] == "denoised"
    assert Path(evaluate.CHOICE).name == "choice.json"
