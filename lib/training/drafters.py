"""Training drafters (lib/models/drafters.py) on the features of a frozen autoregressive model."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.data.captions import Captions
from lib.models.autoregressive import Autoregressive
from lib.models.drafters import Eagle, Medusa
from lib.training.autoregressive import Batches
from lib.training.descent import Descent, autocast, products
from lib.training.settings import DraftersParams
from lib.weights.torch_state import generator, load_module, module_arrays


class DrafterTrainee:
    """What `lib.training.loop.fit` trains: a drafter, the model stays as it is.

    EAGLE descends its paper's loss: the distance (smooth L1) between extrapolated and real features and, with another
    weight, the cross-entropy of what the output layer makes of them against what it makes of the real ones. Its input
    features get uniform noise, since at inference they are its own and not exact. Medusa descends the cross-entropy of
    the real tokens, head k (from 0) with the weight discount^k.

    Args:
        network: trained in place.
        captions, tokens, seed: see `lib.training.autoregressive.Batches`.
    """

    def __init__(
        self,
        model: Autoregressive,
        network: Eagle | Medusa,
        captions: Captions,
        tokens: np.ndarray,
        params: DraftersParams,
        seed: int,
    ):
        self.model, self.network = model.eval().requires_grad_(False), network.train()
        self.params, self.seed = params, seed
        self.batches = Batches(model, captions, tokens, params.training.caption_dropout, seed)
        matrices = products(network.layers if isinstance(network, Medusa) else network)
        taken = set(matrices)
        self.descent = Descent(params.training, matrices, [p for p in network.parameters() if p not in taken])

    def step(self, step: int, indices: np.ndarray) -> dict[str, float]:
        """One update on the pictures `indices`, int64 [B]."""
        text_ids, tokens = self.batches(step, indices)
        with autocast(self.batches.device):
            with torch.no_grad():
                vectors = self.model.image_tokens(self.model.shift(tokens))
                features = self.model.features(text_ids, vectors)  # [B, N, D]
            learn = self.eagle if isinstance(self.network, Eagle) else self.medusa
            loss = learn(features.float(), tokens, step)
        self.descent.step(loss, step)
        return {"loss": loss.item()}

    def eagle(self, features: Tensor, tokens: Tensor, step: int) -> Tensor:
        """EAGLE's loss on features [B, N, D]."""
        model, params = self.model, self.params
        noise = torch.rand(features[:, 1:].shape, generator=generator(self.seed, step)).to(features.device)
        inputs = features[:, :-1] + params.feature_noise * (2 * noise - 1)
        found = self.network.extrapolate(inputs, model.scale * model.image_tokens(tokens[:, :-1]))  # [B, N − 1, D]
        wanted = model.head(features[:, 1:]).float().softmax(dim=-1)  # [B, N − 1, codes]
        entropy = F.cross_entropy(model.head(found).float().flatten(0, 1), wanted.flatten(0, 1))
        return params.regression * F.smooth_l1_loss(found.float(), features[:, 1:]) + params.classification * entropy

    def medusa(self, features: Tensor, tokens: Tensor, _: int) -> Tensor:
        """Medusa's loss on features [B, N, D]."""
        logits = self.network(features).float()  # [B, N, heads, codes]
        losses = []
        for head in range(logits.shape[2]):
            ahead = head + 1
            losses.append(F.cross_entropy(logits[:, :-ahead, head].flatten(0, 1), tokens[:, ahead:].flatten()))
        weights = self.params.discount ** torch.arange(len(losses), device=logits.device)
        return (weights * torch.stack(losses)).sum()

    def state(self) -> dict[str, np.ndarray]:
        """Weights and the optimizers' moments."""
        return module_arrays(self.network, "network.") | self.descent.state("descent.")

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `state` gave."""
        load_module(self.network, arrays, "network.")
        self.descent.load_state(arrays, "descent.")


@torch.no_grad()
def overlap(
    model: Autoregressive, network: Eagle | Medusa, text_ids: np.ndarray, tokens: np.ndarray, batch_size: int = 32
) -> np.ndarray:
    """Σ min(p, q) of the model's distribution p and the drafter's q, teacher-forced: how often a draft would pass.

    Without guidance, at temperature 1. Of EAGLE the first token of a chain is measured, of Medusa every head.

    Args:
        text_ids: int [N, S]; tokens: int [N, length].

    Returns:
        float [N, tokens ahead], the mean over a picture's slots: 1 column for EAGLE, one a head for Medusa.
    """
    results, device = [], model.head.weight.device
    for start in range(0, len(tokens), batch_size):
        rows = slice(start, start + batch_size)
        texts, images = (torch.from_numpy(np.asarray(a[rows], np.int64)).to(device) for a in (text_ids, tokens))
        features = model.features(texts, model.image_tokens(model.shift(images)))  # [B, N, D]
        p = model.head(features).float().softmax(dim=-1)  # [B, N, codes]
        if isinstance(network, Eagle):
            vectors = model.scale * model.image_tokens(images[:, :-1])
            drafts = [model.head(network.extrapolate(features[:, :-1], vectors))]  # [B, N − 1, codes]
        else:
            logits = network(features)
            drafts = [logits[:, : -head - 1, head] for head in range(logits.shape[2])]
        shares = [
            torch.minimum(p[:, ahead:], q.float().softmax(dim=-1)).sum(dim=-1).mean(dim=1)
            for ahead, q in enumerate(drafts, start=1)
        ]
        results.append(torch.stack(shares, dim=1).cpu().numpy())
    return np.concatenate(results)
