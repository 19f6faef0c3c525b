"""Stage sjd2/tables: twins of the paper's tables, and the ablations (.csv, .md, .tex) → results/<profile>/tables/sjd2/.

Rows come from studies/sjd2/code/rows.py, prose from studies/sjd2/code/answers.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lib.evidence import provenance
from lib.evidence.systems import save
from lib.evidence.tables import write_all
from studies.sjd2.code import answers
from studies.sjd2.code import rows as rows
from studies.sjd2.code.reports import Results
from studies.sjd2.code.settings import Params
from studies.sjd2.code.systems import systems

SOURCE = (
    "S: step compression, tokens a pass. Intervals: 95 %, over independent trainings in groups quality, embeddings and "
    "levels, elsewhere over sampling seeds of one of them, paired. Judged: nats a token under the judge."
)
SOURCES = ["studies/sjd2/code/tables.py"]
TIME, SINGLE = {"time": "ms/picture"}, {"single": "% of passes"}
NATS = {"nats": "nats/token", "judged": "nats/token"}


def run(params: Params) -> None:
    """Writes all tables, and the answers to what the paper leaves open."""
    source, out = params.results / "sjd2.json", params.results / "tables" / "sjd2"
    report, origin = Results.read(source), {"stage": "sjd2/tables", "sources": SOURCES, "inputs": [source]}
    write_all(out, all_tables(report), profile=params.profile, **origin)
    save(out, systems(params, report))
    if answered := answers.as_markdown(report):
        text = f"**What SJD2's paper leaves open or prints without explaining, answered by profile {params.profile}.**"
        path = out / "sjd2_answers.md"
        path.write_text(f"{text}\n\n{answered}\n", encoding="utf-8")
        provenance.write(path.with_suffix(".provenance.json"), [path], **origin)


@dataclass(frozen=True)
class Table:
    """What a table is, beside its rows."""

    rows: Callable[[Results], rows.Rows]
    caption: str
    units: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    source: str = SOURCE


TABLES = {
    "quality": Table(
        rows.quality_rows,
        "Passes and quality of every decoder (twin of the paper's Tables 1 and 2).",
        NATS,
        (
            "Accuracy as GenEval's; exact: what is asked for and nothing else. Their intervals are over prompts, that "
            "of CLIP score over captions, those of FID and KID over pictures.",
            "Nats under the run's network without guidance; judged under a larger one that nothing is decoded from. "
            "Same as AR: share of pictures equal to those of autoregressive decoding from the same seeds.",
        ),
        ("C1", "C2", "C10", "D10"),
    ),
    "categories": Table(
        rows.category_rows,
        "Accuracy by category (twin of the paper's Table 2).",
        notes=("Share of pictures that show what is asked for, by the scene reader. Captions: of test pictures.",),
        claims=("D10",),
        source="Intervals: 95 % over prompts and captions.",
    ),
    "latency": Table(
        rows.latency_rows,
        "Passes, time and memory (twin of the paper's Table 3).",
        TIME | {"outside": "%", "cache": "MB", "tables": "MB"},
        (
            "Outside: share of the time that is not the networks'. Cache: keys and values of one picture; tables: what "
            "the decoder keeps besides, proposals (a distribution a slot) and shared noise.",
        ),
        ("C4",),
    ),
    "flops": Table(
        rows.flops_rows,
        "Arithmetic a token (twin of the paper's Table 4).",
        {"operations": "MFLOP/token"},
        ("Implied tokens: operations × times steps ×, the slots that a pass must have computed.",),
        ("C5",),
        "Operations are counted, not timed; means over pictures.",
    ),
    "sizes": Table(
        rows.size_rows,
        "The same decoders on networks of several sizes (twin of the paper's Table 5).",
        notes=("Δ nats: a token, against autoregressive decoding of the same network.",),
        claims=("C1", "C2", "D15", "D16", "D18"),
    ),
    "accelerators": Table(
        rows.accelerator_rows,
        "All accelerators, the trained drafters with the untuned network (twin of the paper's Table 7).",
        notes=(
            "Δ: against autoregressive decoding of the same network, paired. Settings: chosen on validation captions, "
            "or given, among them the authors' own. Paper: Lumina-mGPT on COCO.",
        ),
        claims=("C2", "C15", "C18", "C19", "C40", "C53", "C54", "D7", "D13", "D80"),
    ),
    "control": Table(
        rows.control_rows,
        "What is left of SJD2's gain over Jacobi decoding with shared noise.",
        notes=(
            "Shared noise: one table of Gumbel noise for all passes; lossless and training-free. Passes, shared / its: "
            "above 1, the decoder takes fewer than Jacobi decoding with shared noise. Left: share of the passes saved "
            "by SJD2 that shared noise alone does not save. Δ nats: a token, against autoregressive decoding. Same as "
            "AR: share of pictures that are equal token for token; a network rounds otherwise for one slot than for "
            "many, which decides where two codes lie within rounding of each other. model:small is the small network "
            "before it was tuned, clean the same tuned for as long without noise; drafts: stands before those tuned on "
            "drafts. On networks not tuned for SJD2 the control runs alone.",
        ),
        claims=("D14", "D15", "D16", "D20", "D23", "D26", "D27"),
    ),
    "draft_tuning": Table(
        rows.draft_tuning_rows,
        "Two fine-tunings: for SJD2, on noisy embeddings, and for Jacobi decoding with shared noise, on its drafts.",
        {"drafted": "% of pictures", "updates": "% of pretraining"}
        | dict.fromkeys(("clean, before", "rise", "judged"), "nats/token"),
        (
            "Clean: loss on test pictures, no input noisy or a draft; rise: what tuning adds to it. Judged: nats a "
            "token of the samples, under the judge, beside exact accuracy and KID. Both networks of a training draw "
            "the same rows from the same seeds.",
        ),
        ("D34", "D37", "D81"),
        "Intervals: 95 % over independent trainings.",
    ),
    "networks": Table(
        rows.network_rows,
        "Fine-tuning for SJD2: loss on clean and on noisy inputs.",
        {"clean inputs": "%", "updates": "% of pretraining"}
        | dict.fromkeys(("clean, before", "clean, after", "after noise", "after noise alone"), "nats/token"),
        (
            "Table: standard deviation of the embeddings after tuning. After noise: mean over the noisy levels of the "
            "longest schedule; after noise alone: its highest level.",
        ),
        ("C6", "C11", "C12", "C13"),
        "Intervals: 95 % over trainings, of one training over test pictures, the same before and after.",
    ),
    "surface": Table(
        rows.surface_rows,
        "Window × denoising steps (twin of the paper's Figure 4).",
        TIME | {"nats": NATS["nats"]},  # no judge knows these pictures
        ("Ties: within 3 % of the fastest.",),
        ("C7", "D17"),
        "S: step compression, tokens a pass. Means over sampling seeds of one training, one picture at a time.",
    ),
    "embeddings": Table(
        partial(rows.ablation_rows, group="embeddings"),
        "Standardized embeddings and the scale of the table (twin of the paper's Figure 5).",
        NATS | SINGLE,
        ("002 in a network's name: its table was first brought to a standard deviation of 0.02.",),
        ("C6", "D8"),
    ),
    "levels": Table(
        partial(rows.ablation_rows, group="levels"),
        "Whether the network is told noise levels.",
        NATS | SINGLE,
        claims=("C12",),
    ),
    "guidance": Table(
        partial(rows.ablation_rows, group="guidance"),
        "Guidance of 3, the paper's.",
        NATS | SINGLE,
        ("All other groups are drawn without guidance: a pass then takes half the time.",),
    ),
    "choice": Table(
        rows.choice_rows,
        "The settings of every decoder, by one rule.",
        {"Δ judged": "nats/token"},
        (
            "Of all settings tried on validation captions, the fewest passes among those whose pictures are as likely "
            "as autoregressive decoding's, but for the margin; likelihood under the judge.",
        ),
        source="S: step compression on validation captions, first training.",
    ),
    "entropy": Table(
        rows.entropy_rows,
        "Step compression by the entropy of a token.",
        {"entropy": "nats/token"},
        ("Entropy: of what autoregressive decoding draws at that temperature. Jacobi draws afresh in every pass.",),
        ("C3",),
    ),
    "windows": Table(
        partial(rows.ablation_rows, group="windows"),
        "SJD's window.",
        NATS | SINGLE,
        ("Single: passes that fix one token.",),
        ("C16",),
    ),
    "initial": Table(
        rows.initial_rows,
        "Step compression of SJD by first drafts and background.",
        notes=("Background: what the scene reader sees in the drawn picture.",),
        claims=("C17",),
    ),
    "stability": Table(
        rows.stability_rows,
        "Changes of a draft a pass, by its place in the window (twin of the paper's Figure 8), and a token.",
        notes=(
            "Slot 1 is the first that is not fixed; one that every pass fixes has no changes to count. A token: all "
            "changes of its draft, from its entry into the window until it is fixed.",
        ),
        claims=("C9",),
    ),
    "text": Table(
        rows.text_rows,
        "The same decoders on text and on pictures: tokens a pass.",
        notes=(
            "Characters: character models of the captions, drawn without guidance; 95 % intervals over independent "
            "trainings. nanochat: a third party's language model of subwords, same windows. Pictures: the small "
            "network, where it is decoded with these settings.",
        ),
        claims=("C20",),
        source="S: step compression. Windows of 16, the authors'.",
    ),
    "equality": Table(
        rows.equality_rows,
        'What the rule for "equal" makes of decoders that are equal: pairs of lossless decoders, simulated.',
        {"deviation": "nats/token", "margin": "nats/token"}
        | dict.fromkeys(("equal", "among all tests", "not equal", "at the margin: equal"), "% of draws"),
        (
            "Both sides of a pair are drawn anew from what lossless decoders gave for the same captions. Among all "
            "tests: after the largest correction that Holm's rule can ask for in this study. At the margin: where the "
            "means differ by the margin itself, which must not be called equal in more than 2.5 %.",
        ),
        ("C10", "D18"),
        "Simulated comparisons, from this run's pictures.",
    ),
    "exactness": Table(
        rows.exactness_rows,
        "What is lossless and what is not: total variation distance from the law of a toy chain.",
        notes=(
            "By chance: mean and largest distance of 1,000 samples of that size that follow the law. p: χ². Same: "
            "share of pictures that come out alike in small batches.",
        ),
        claims=("C14", "D11", "D12"),
        source="A chain whose law is known takes the place of the network.",
    ),
}


def all_tables(report: Results) -> list[tuple[str, rows.Rows, dict[str, Any]]]:
    """(name, rows, options of `lib.evidence.tables.write`) of every table."""
    found = []
    for name, table in TABLES.items():
        body = table.rows(report)
        texts = {"caption": table.caption, "source": table.source, "units": table.units, "notes": table.notes}
        width = {"options": 4.0} if body and "options" in body[0] else {}
        found.append((f"sjd2_{name}", body, texts | {"text_widths": width, "claims": table.claims}))
    return found
