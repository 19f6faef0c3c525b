"""How well next-scale models of several sizes predict test pictures."""

import numpy as np

from lib.config_changes import changed
from lib.models import multi_scale_vqgan
from lib.training import var
from lib.training.parti import TokenBatches
from studies.auraflow.code.material import SCALES, encode_of, folder, images_of, pictures_of
from studies.auraflow.code.networks import load
from studies.auraflow.code.settings import Params, settings_of


def test_loss(params: Params, name: str) -> float:
    """Mean cross-entropy of the tokens of all scales, nats a token, of the first training of a name."""
    model = load(folder(name, params.seed), {"guidance": 1.0, "temperature": 1.0})
    network, tokenizer = model.network["model"], multi_scale_vqgan.load(SCALES)
    tokens = multi_scale_vqgan.encode_batches(tokenizer, np.asarray(images_of("test")))
    captions = pictures_of("test", params.text.length).captions
    descent = changed(settings_of(params, name).descent, {"training": {"caption_dropout": 0.0}})
    batches = TokenBatches(network, captions, tokens, encode_of(model.encoder), descent, params.seed)
    return var.measure(network, tokenizer.quantizer, batches, min(len(tokens), params.evaluation.pictures))["loss"]
