"""Prints what a run of the pipeline found and where it lies: `python -m lib.pipeline.summary`."""

import sys
from collections import Counter
from pathlib import Path

from lib import config
from lib.errors import EaselError, command_line
from lib.evidence.drift import Comparison, breach, parted
from lib.evidence.results import read
from lib.evidence.verdicts import NOT_MEASURED


@command_line
def main(arguments: list[str]) -> None:
    """A few lines for the end of `make repro`.

    Raises:
        EaselError: a number drifted further from the pinned reference than its tolerance.
    """
    params = config.load()
    top = Path.cwd() / params.results
    claims = read(params.results / "verdicts" / "claims.json")
    drift = read(params.results / "verdicts" / "drift.json")
    print(f"\nprofile {params.profile}")
    if all(entry["outcome"] == NOT_MEASURED for entry in claims["bench"]):
        print("  no verdicts: nothing is asked of this profile's bench; it shows that all runs, not what is true")
    else:
        for title, entries, key in (("bench", claims["bench"], "outcome"), ("claims", claims["claims"], "verdict")):
            counted = Counter(entry[key].split(" (")[0] for entry in entries)
            print(f"  {title}: " + ", ".join(f"{count} {name}" for name, count in sorted(counted.items())))
    compared = [Comparison(**entry) for entry in drift["comparisons"]]
    states = Counter(item.state for item in compared)
    print("  against the pinned reference: " + (", ".join(f"{n} {s}" for s, n in states.items()) or "none pinned"))
    for line in parted(item for item in compared if item.reference is not None):
        print(f"    verdict {line}")
    print(f"  tables   {top / 'tables'}\n  verdicts {top / 'verdicts' / 'claims.md'}")
    print(f"  figures  {Path.cwd() / params.figures}", flush=True)
    if found := breach(compared, params.results / "verdicts" / "drift.md"):
        raise EaselError(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
