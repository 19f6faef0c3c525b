"""What several stages of this study name; see `lib.places`."""

from lib.places import BUILD

MODELS = BUILD / "dalle_mini"  # a folder a training
SEARCH = BUILD / "dalle_mini_search"
SAMPLES = BUILD / "samples"
EVALUATION = BUILD / "evaluation"
