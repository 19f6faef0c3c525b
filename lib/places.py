"""Folders and files that several modules name, seen from where a profile runs. A study's own are in its code/places.py.

What a single module names stays there: every stage that reads one of these places depends on all of them.
"""

from pathlib import Path

BUILD = Path("build")
DATA = Path("data")
MADE = BUILD / "data"  # DVC brings it to DATA
TEXT = BUILD / "text/tokenizer.json"
CLIP = BUILD / "clip"
READER = BUILD / "reader"
TOKENIZERS = BUILD / "tokenizer"  # a folder each
TOKENS = BUILD / "tokens"  # a folder a tokenizer
NEEDS = BUILD / "needs.json"
RESULTS = Path("results")
REFERENCE = RESULTS / "reference"
FIGURES = Path("paper_figs")
