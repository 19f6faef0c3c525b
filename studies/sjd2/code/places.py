"""What several stages of this study name: a folder a network, a group, a drafter; see `lib.places`."""

from lib import places
from lib.places import BUILD

TOKENIZER = places.TOKENIZERS / "fine"  # of all networks
TOKENS = places.TOKENS / "fine"
MODELS = BUILD / "autoregressive"
TUNED = BUILD / "sjd2"
ON_DRAFTS = BUILD / "draft_tuned"
DRAFTERS = BUILD / "drafters"
DECODED = BUILD / "decoded"
EXACTNESS = BUILD / "exactness.json"
