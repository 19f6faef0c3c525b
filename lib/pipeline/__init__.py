"""The stages of dvc.yaml, one module each: `python -m lib.pipeline <stage>` runs one."""
