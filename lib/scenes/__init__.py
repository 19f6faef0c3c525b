"""Scenes: the embedded data set. Captioned pictures drawn bit-exactly by the project, with the truth of each known."""
