"""JSON schemas of params.yaml and of the studies' own, by which editors complete and check them.

python -m lib.schema        writes params.schema.json beside every params.yaml
"""

import json
import re
import sys
from typing import Any

from lib import config
from lib.errors import EaselError, command_line

FILE = "params.schema.json"


def schema(study: str) -> dict[str, Any]:
    """The schema of a study's params.yaml, or of the one at the top ("")."""
    whole = config.kind(study).model_json_schema()
    shared = set(config.Params.model_fields) - {"notebooks"} if study else set()
    properties = {name: one for name, one in whole["properties"].items() if name not in shared}
    used, waiting = set(), [properties]
    while waiting:  # definitions of the sections that are left, and of what these refer to
        names = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(waiting.pop()))) - used
        used |= names
        waiting += [whole["$defs"][name] for name in names]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"params.yaml of studies/{study}" if study else "params.yaml",
        "type": "object",
        "additionalProperties": False,
        "required": [name for name in whole["required"] if name in properties],
        "properties": properties,
        "$defs": {name: whole["$defs"][name] for name in sorted(used)},
    }


def text(study: str) -> str:
    """The schema as it stands in its file."""
    return json.dumps(schema(study), indent=1, ensure_ascii=False) + "\n"


@command_line
def main(arguments: list[str]) -> None:
    """Command line."""
    if arguments:
        raise EaselError("usage: python -m lib.schema")
    for study in ("", *config.studies()):
        path = config.folder(study) / FILE
        path.write_text(text(study), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
