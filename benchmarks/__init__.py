"""What this repository's networks do on one machine, measured; no stage of a study needs it."""
