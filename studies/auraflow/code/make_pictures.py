"""Stage auraflow/make_pictures: the pictures of this study, drawn and encoded → build/auraflow/parts/ (see
`lib.pipeline.own_pictures`)."""

from lib.pipeline import own_pictures
from studies.auraflow.code.material import PART, PARTS, TOKENIZER
from studies.auraflow.code.settings import Params


def run(params: Params) -> None:
    """Data that are not drawn here are taken as they are."""
    changes, tokenizers = {PART: params.auraflow_pictures}, {PART: [TOKENIZER.name]}
    own_pictures.make_parts("auraflow/make_pictures", params, PARTS, changes, tokenizers, ("train", "test"))
