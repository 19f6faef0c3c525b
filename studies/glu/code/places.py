"""Reports of this study's stages, which stage glu/evaluate reads; see `lib.places`."""

from lib.places import BUILD

VARIANTS = BUILD / "glu/variants"  # a file a block
SEARCH = BUILD / "glu/search.json"
CAPTIONS = BUILD / "glu/text.json"
COST = BUILD / "glu/cost.json"
SWITCHES = BUILD / "glu/switches.json"
