"""Speculative Jacobi-denoising decoding (SJD2, Teng et al. 2025, arXiv:2510.08994): the slots of a window start as
noise, every pass takes each of them one denoising step towards the embedding of a token drawn for it, and clean slots
are tested as in SJD. Needs a network tuned on noisy embeddings.

A pass (section 4.2; equation numbers are the paper's):

1. predict the whole window from its embeddings, noisy ones among them (equation 2);
2. accept the longest run of drafts that pass (equation 1) and correct the first that does not;
3. draw a token for every other slot. A noisy one goes one step down towards its embedding (equation 3); a clean one
   takes it as the new draft, unless the keep rule says that the old draft stays.

What the paper leaves open, or says in two ways, is an option:

- `accept`, which slots may be accepted. "clean": those that no noise is left in, which is how appendix B has it. A
  slot's draft is then a draw from the stored distribution. "any": noisy ones too, as section 4.2 can be read; their
  draft is the nearest code, which is a draw from nothing, and their acceptance is not speculative sampling. "denoised":
  no test at all (figure 9a); clean slots closer than window / steps to the window's front are accepted, and never drawn
  anew.
- `test`: "ratio" as in equation 1, or "match", the exact match of Jacobi decoding.
- `keep`, of the keep rule: clean drafts stay where p_new / p_old is at least this. 0.5 in the paper.
- `coupling` of a slot's successive draws: new random numbers, or one Gumbel table for all passes.

Lossless with respect to the tuned network where accept is "clean" and keep infinite: a clean slot's draft was drawn
from the stored distribution with random numbers that touched no slot before it, what it is tested with is the network's
prediction from clean tokens that stay, and it is tested once. That the stored distribution was predicted from noise
makes it a worse proposal, not a wrong one. With test "match" and coupling "gumbel" on top, the tokens are those of
autoregressive sampling with the same table. The keep rule and both other kinds of acceptance are lossy.

Whatever a pass fixes that the network has not read as it now is (the token a noisy slot stands for, the corrected one)
is read again in the next pass, in place of slots at the window's end, so that the cache never keeps noise.
"""

import math
from typing import Literal, get_args

import torch

from lib.decoding.noise import RowRandom
from lib.decoding.noise_levels import denoise, shares
from lib.decoding.predictor import Decoded, EmbeddedPredictor
from lib.decoding.speculative import chances, leading, picked, redrawn, sampled
from lib.decoding.window import Window
from lib.errors import EaselError

Accept = Literal["clean", "any", "denoised"]
Test = Literal["ratio", "match"]
Coupling = Literal["independent", "gumbel"]


def decode(
    predictor: EmbeddedPredictor,
    random: RowRandom,
    *,
    window: int = 96,
    accept: Accept = "clean",
    test: Test = "ratio",
    keep: float = 0.5,
    coupling: Coupling = "independent",
    trace_slots: int = 0,
) -> Decoded:
    """SJD2. The predictor's times say how many denoising steps there are, and how they are spaced.

    Args:
        window: slots a pass looks at.
        accept, test, keep, coupling: see above; an infinite `keep` switches the keep rule off.
        trace_slots: slots of `Decoded.trace`; the draft of a noisy slot is the nearest code.

    Raises:
        EaselError: an option outside its range.
    """
    for name, value, kinds in (("accept", accept, Accept), ("test", test, Test), ("coupling", coupling, Coupling)):
        if value not in get_args(kinds):
            raise EaselError(f"there is no {name} = {value!r}; choose one of {', '.join(get_args(kinds))}.")
    if not keep >= 0:
        raise EaselError(f"keep is a ratio of probabilities, at least 0, not {keep}.")
    # First of all, so that it is the table of autoregressive sampling.
    table = random.gumbel(predictor.length, predictor.codes) if coupling == "gumbel" else None
    view = Window(predictor, random, window, trace_slots)
    steps = len(predictor.times)
    left = shares(predictor.times)  # [T + 1]
    reach = math.ceil(view.width / steps)  # of accept = "denoised"
    needs_nearest = accept == "any" or trace_slots > 0

    # Embeddings and noise levels as inputs: column s + 1 belongs to slot s, column 0 to BOS. All slots have their noise
    # from the beginning, so none has to be put in when the window moves.
    bos = predictor.embed(view.inputs[:, :1])  # [B, 1, D]
    vectors = torch.cat([bos, random.normal(view.capacity, bos.shape[-1])], dim=1)
    levels = torch.full(vectors.shape[:2], steps, device=random.device)
    levels[:, 0] = 0
    if needs_nearest:
        view.draft(
            torch.arange(view.capacity, device=random.device).expand(random.rows, -1), predictor.nearest(vectors[:, 1:])
        )
    # Of a slot never predicted: uniform; only accept = "any" tests it.
    shape = (random.rows, view.capacity, predictor.codes)
    proposals = torch.full(shape, -math.log(predictor.codes), device=random.device)

    columns = torch.arange(view.width + 1, device=random.device)
    while view.unfinished():
        seen = view.base.unsqueeze(1) + columns  # inputs and, one column on, the slots' own: [B, W + 1]
        around, at_levels = vectors[view.rows, seen], levels[view.rows, seen]  # [B, W + 1, D], [B, W + 1]
        log_p = predictor.predict_embedded(around[:, :-1], view.base, at_levels[:, :-1])  # [B, W, V]
        noisy, level = around[:, 1:], at_levels[:, 1:]  # [B, W, D], [B, W]
        drafts = view.drafts
        noise = None if table is None else view.at(table)
        for_test, for_draw = random.uniform(2, view.width).unbind(dim=1)  # [B, W] each

        # Which slots are fixed, and what the others become.
        clean = level == 0
        if accept == "denoised":
            tokens = torch.where(clean, drafts, sampled(log_p, for_draw, noise))
            agreed = leading(view.fixed | ((level <= 1) & (view.slots - view.done.unsqueeze(1) < reach)))
            count = agreed
        else:
            tested = clean if accept == "clean" else torch.ones_like(clean)
            chance = chances(picked(log_p, drafts), view.picked(proposals, drafts))
            if test == "ratio":
                agreed = leading(view.fixed | (tested & (for_test < chance)))
                drawn = redrawn(log_p, view.at_slot(proposals, agreed), agreed, for_draw, tested, noise)
            else:
                drawn = sampled(log_p, for_draw, noise)
                agreed = leading(view.fixed | (tested & (drafts == drawn)))
            first_failed = agreed.unsqueeze(1)
            kept = (view.offsets > first_failed) & clean & (chance >= keep)
            tokens = torch.where((view.offsets < first_failed) | kept, drafts, drawn)
            count = agreed + 1
        read_as_is = agreed  # an accepted clean draft is what the network read
        if accept != "clean":
            read_as_is = leading(view.fixed | (clean & (view.offsets < agreed.unsqueeze(1))))

        # One denoising step for those that stay noisy or become clean; the others are their token's embedding.
        present = torch.where(view.offsets >= count.unsqueeze(1), level, 0)
        moved = denoise(noisy, predictor.embed(tokens), left[present])  # [B, W, D]
        level = (present - 1).clamp(min=0)
        if needs_nearest:
            tokens = torch.where(level > 0, predictor.nearest(moved), tokens)
        view.write(tokens)
        view.put(proposals, log_p)
        own = seen[:, 1:]
        vectors[view.rows, own], levels[view.rows, own] = moved, level
        view.advance(count, read_as_is)
    return view.decoded()
