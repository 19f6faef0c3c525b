"""The workflow that publishes the site runs what is here; tests/end_to_end/test_readme_commands.py runs it too."""

import os
import re

from lib import config_tree
from tests.house import REPOSITORY


def test_the_workflow_publishes_the_folder_that_the_script_fills():
    workflow = config_tree.read_yaml(REPOSITORY / ".github/workflows/pages.yml")
    steps = workflow["jobs"]["publish"]["steps"]
    (script, folder) = next(step["run"] for step in steps if "run" in step).split()
    assert os.access(REPOSITORY / script, os.X_OK)
    (uploaded,) = [step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", "")]
    assert uploaded == folder
    asked = re.findall(r"^make ([\w-]+)", (REPOSITORY / script).read_text(encoding="utf-8"), re.MULTILINE)
    assert asked == ["pages"]
