"""The words of Scenes: what a picture can contain. An index in one of these tuples is the class id everywhere.

Object colours are saturated, background colours are muted: no background can hide an object, and no colour word
means both. All coordinates and lengths are pixels of the 64×64 grid, whatever the size a scene is drawn at.
"""

GRID = 64

SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "ring", "heart")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SIZES = ("small", "medium", "large")
TEXTURES = ("solid", "striped", "dotted")
BACKGROUNDS = ("plain", "gradient", "striped", "speckled")
BACKGROUND_COLOURS = ("white", "grey", "black", "beige", "brown")
DIRECTIONS = ("horizontal", "vertical")
RELATIONS = ("left of", "right of", "above", "below")
LANGUAGES = ("en", "zh")

# Never drawn in train, val or test; every picture of the heldout split has at least one. No shape and no colour
# appears twice, so that each stays common in training.
HELDOUT_PAIRS = frozenset(
    {
        ("square", "pink"),
        ("triangle", "blue"),
        ("star", "purple"),
        ("cross", "cyan"),
        ("ring", "yellow"),
        ("heart", "green"),
    }
)

COLOUR_RGB = {
    "red": (222, 36, 40),
    "orange": (248, 134, 16),
    "yellow": (250, 222, 32),
    "green": (40, 164, 64),
    "cyan": (36, 204, 224),
    "blue": (36, 84, 228),
    "purple": (142, 52, 190),
    "pink": (250, 128, 192),
}

# The darker and the lighter shade of each background colour: a gradient runs from one to the other, stripes
# alternate, a plain or speckled background lies halfway between.
BACKGROUND_SHADES = {
    "white": ((206, 206, 204), (248, 248, 246)),
    "grey": ((104, 106, 110), (150, 152, 156)),
    "black": ((14, 14, 18), (60, 60, 64)),
    "beige": ((198, 178, 142), (236, 222, 194)),
    "brown": ((70, 50, 36), (118, 92, 72)),
}

DIAMETERS = {"small": 16, "medium": 22, "large": 28}
