"""An RO-Crate of the run, from dvc.lock: every stage an action with what it read and wrote, by hash.

Written as one list of entries and not with the package rocrate, which would be one more for every run to install and
adds nothing to such a list.
"""

import json
from pathlib import Path
from typing import Any

from pages.citation import ABSTRACT, TITLE, version
from pages.material import Material

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
TRACKED = ("results/", "paper_figs/", "notebooks/", "requirements.lock")  # what lies in the crate's own folder
LISTS = "build/sources/"  # lists of modules: they change with every edit, and are no data


def metadata(material: Material) -> str:
    """ro-crate-metadata.json. Stages that only list modules, and their lists, are left out."""
    actions, things = [], {}
    for name, entry in material.locked.items():
        if name.rpartition("/")[2] == "sources":
            continue
        read = [_thing(item) for item in entry.get("deps", ()) if not item["path"].startswith(LISTS)]
        written = [_thing(item) for item in entry.get("outs", ())]
        things |= {item["@id"]: item for item in (*read, *written)}
        actions.append(
            {
                "@id": f"#stage-{name}",
                "@type": "CreateAction",
                "name": name,
                "description": entry["cmd"],
                "instrument": {"@id": "#easel"},
                "object": [{"@id": item["@id"]} for item in read],
                "result": [{"@id": item["@id"]} for item in written],
            }
        )
    parts = [name for name in sorted(things) if name.startswith(TRACKED) and Path(name).exists()]
    graph = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": TITLE,
            "description": ABSTRACT,
            "datePublished": material.released,
            "license": {"@id": "https://www.apache.org/licenses/LICENSE-2.0"},
            "hasPart": [{"@id": name} for name in parts],
            "mentions": [{"@id": action["@id"]} for action in actions],
        },
        {"@id": "#easel", "@type": "SoftwareApplication", "name": "Easel", "version": version()},
        {"@id": "https://www.apache.org/licenses/LICENSE-2.0", "@type": "CreativeWork", "name": "Apache License 2.0"},
        *(things[name] for name in sorted(things)),
        *actions,
    ]
    return json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _thing(item: dict[str, Any]) -> dict[str, Any]:
    """A file or folder of the lock file."""
    folder = item["md5"].endswith(".dir")
    return {
        "@id": f"{item['path']}/" if folder else item["path"],
        "@type": "Dataset" if folder else "File",
        "name": item["path"],
        "identifier": f"md5:{item['md5']}",
        "contentSize": str(item["size"]),
    }
