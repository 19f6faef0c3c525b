"""The loss of SJD2's fine-tuning ("next-clean-token prediction", arXiv:2510.08994, section 4.3) on models of
transformers: what lib/training/sjd2.py has for our own networks.

The sequence is what huggingface/models/predictor.py shows a decoder, all of it at once: level tokens, prompt, picture
with its end-of-line tokens. Image inputs are noisy or clean; every image token is predicted, and the loss is
cross-entropy among the image vocabulary, as decoders draw. Forced tokens and words are read but not predicted, since no
decoder draws them. Embeddings are standardized by the table as it is now, which no gradient flows through.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from huggingface.models.family import Family
from huggingface.models.layout import Layout
from huggingface.models.levels import level_tokens, spread
from huggingface.models.prompts import Prompts, seen_among
from lib.decoding.noise_levels import corrupt


class NoisyReader(nn.Module):
    """A model as what its loss is computed with.

    Args:
        family: the adapted model, whose weights these are.
        layout: of the pictures.
    """

    def __init__(self, family: Family, layout: Layout):
        super().__init__()
        self.model, self.family = family.model, family
        self.past = int(layout.slots[-1])  # inputs stand at the places before it
        tables = {"slots": layout.slots, "forced": layout.forced[: self.past - 1], "offsets": family.offsets(layout)}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, prompts: Prompts, codes: Tensor, levels: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Cross-entropy of every image token, float32 [B, length].

        Args:
            codes: int64 [B, length].
            levels: of the inputs that predict them, int64 [B, length], 0 for clean; the first, the decoders' BOS, is.
            times: of the levels 0 … T, float [T + 1].
            noise: standard normal, [B, length, D]; the first of a row is not read.
        """
        rows, prompt, count = len(codes), prompts.ids.shape[1], len(times) - 1
        table, images = self.family.table(), self.family.codes()
        deviation, mean = spread(images.detach())
        clean, levels = F.embedding(codes[:, :-1], images), levels[:, 1:]  # [B, length − 1, D], [B, length − 1]
        noisy = corrupt((clean.float() - mean) / deviation, noise[:, 1:], times[levels]) * deviation + mean
        vectors = torch.where((levels > 0).unsqueeze(2), noisy.to(clean.dtype), clean)

        # Level tokens, words, and the picture up to its last slot, line ends where they belong.
        own = self.slots[:-1] - 1
        picture = F.embedding(self.forced.clamp(min=0), table).expand(rows, -1, -1)  # [B, past − 1, D]
        picture = picture.index_copy(1, own, vectors)
        at = levels.new_zeros(rows, self.past - 1).index_copy(1, own, levels)  # [B, past − 1]
        told = level_tokens(times[1:], deviation, mean).to(table.dtype)  # [T, D]
        x = torch.cat([told.expand(rows, -1, -1), F.embedding(prompts.ids, table), picture], dim=1)  # [B, Q, D]

        seen = seen_among(F.pad(prompts.real, (0, self.past - 1), value=True), count)  # [B, Q, Q]
        seen[:, count + prompt :, :count] = at.unsqueeze(2) == torch.arange(1, count + 1, device=at.device)
        kind = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        mask = torch.zeros(seen.shape, dtype=kind, device=x.device).masked_fill_(~seen, torch.finfo(kind).min)

        words = prompts.real.sum(dim=1, keepdim=True)  # [B, 1]
        before = torch.cat([(words - 1).expand(-1, count), prompts.positions()], dim=1)  # [B, T + P]
        after = words + self.offsets[:, None, 1 : self.past]  # [axes, B, past − 1]
        positions = torch.cat([before.expand(len(after), -1, -1), after], dim=2)  # [axes, B, Q]
        features = self.family.backbone(
            inputs_embeds=x,
            position_ids=positions if len(positions) > 1 else positions[0],
            attention_mask=mask[:, None],
            use_cache=False,
        ).last_hidden_state
        # Every slot is predicted from the place before it: of the token before, or of the line end behind that.
        logits = self.family.head()(features[:, count + prompt - 2 + self.slots])  # [B, length, V]
        # Not a view, from which FSDP2 would not hear of the backward pass.
        return F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none").clone()
