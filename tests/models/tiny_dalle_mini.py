"""A DALL·E Mini of a few weights, for tests of the network itself."""

from lib.models.layout import DalleMiniConfig

NETWORK = DalleMiniConfig(
    text_vocabulary=20,
    text_length=6,
    text_padding=0,
    codes=11,
    image_length=9,
    width=16,
    encoder_layers=1,
    decoder_layers=2,
    heads=2,
    feed_forward=24,
)
