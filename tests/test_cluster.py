"""The batch scripts under a stand-in for Slurm: what they start, how often, and with which variables."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import REPOSITORY

CLUSTER = REPOSITORY / "docs/cluster"
# Reads the lines #SBATCH, sets what Slurm sets, runs the script on the first node.
SBATCH = r"""#!/bin/bash
nodes=1
while [[ "$1" == --* ]]; do [[ "$1" == --nodes ]] && nodes="$2"; shift 2; done
each=$(sed -n 's/^#SBATCH --ntasks-per-node=//p' "$1")
gpus=$(sed -n 's/^#SBATCH --gpus-per-node=//p' "$1")
export SLURM_JOB_ID=4711 SLURM_SUBMIT_DIR="$PWD" SLURM_NNODES="$nodes" SLURM_NTASKS=$((nodes * each))
export SLURM_PROCID=0 SLURM_JOB_NODELIST="node[1-$nodes]" SLURM_GPUS_ON_NODE="${gpus:-0}"
cd / && exec bash "$OLDPWD/$1" "${@:2}"
"""
# Starts the tasks side by side, and fails if one of them does.
SRUN = r"""#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
pids=()
for ((task = 0; task < SLURM_NTASKS; task++)); do
  SLURM_PROCID=$task SLURM_NODEID=$((task * SLURM_NNODES / SLURM_NTASKS)) "$@" & pids+=($!)
done
trap 'kill "${pids[@]}" 2> /dev/null' TERM
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
exit $status
"""
SCONTROL = '#!/bin/bash\n[[ "$*" == "show hostnames node[1-2]" ]] && printf "node1\\nnode2\\n"\n'
# Writes down how it was called.
NOTE = '#!/bin/bash\nprintf "%s\\n" "{name} $* engine=$EASEL_ENGINE path=$PYTHONPATH in=$PWD" >> calls\n'


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with the scripts and commands of Slurm; what scripts call notes that it was called."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/cluster").symlink_to(CLUSTER)
    commands = {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL}
    commands |= {name: NOTE.format(name=name) for name in ("python", "torchrun", "dask")}
    for name, text in commands.items():
        put(tmp_path, name, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / '.venv/bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("EASEL_WAIT", "0.05")
    monkeypatch.delenv("EASEL_ENGINE", raising=False)
    return tmp_path


def put(folder, name, text):
    path = folder / ".venv/bin" / name
    path.write_text(text)
    path.chmod(0o755)


def submit(script, *arguments, nodes=1):
    given = ["sbatch", "--nodes", str(nodes), f"docs/cluster/{script}.sbatch", *arguments]
    return subprocess.run(given, capture_output=True, text=True, check=False)


def calls():
    return sorted(Path("calls").read_text().splitlines())


def test_generate_gives_every_process_its_share(cluster):
    done = submit("generate", "--prompts", "two words.txt", nodes=2)
    assert done.returncode == 0, done.stderr
    expected = "python -m huggingface.generate --prompts two words.txt --process {}/8 engine= path=. in={}"
    assert calls() == [expected.format(number, cluster) for number in range(8)]


def test_a_failed_process_fails_the_job_and_ends_no_other(cluster):
    put(cluster, "python", '#!/bin/bash\n[[ "$*" == *" 0/4" ]] && exit 3\nsleep 0.2; echo "$*" >> calls\n')
    assert submit("generate").returncode != 0
    assert len(calls()) == 3


def test_evaluate_starts_a_scheduler_workers_and_then_the_command(cluster):
    """It waits until a worker answers, and ends what it started."""
    dask = """#!/bin/bash
echo "dask $1 $2" >> calls
if [[ "$1" == scheduler ]]; then sleep 0.2; echo '{"address": "tcp://10.0.0.1:8786"}' > "$3"; fi
echo $$ >> pids; exec sleep 60
"""
    python = f"""#!/bin/bash
if [[ "$*" == *engine.check* ]]; then
  [[ "${{@: -1}}" == dask://10.0.0.1:8786 && $(grep -c worker calls) == 4 ]]
elif [[ "$1" == -c ]]; then
  exec {sys.executable} -S "$@"
else
  echo "python $* engine=$EASEL_ENGINE" >> calls
fi
"""
    put(cluster, "dask", dask)
    put(cluster, "python", python)
    done = submit("evaluate", "--model", "kolors")
    assert done.returncode == 0, done.stderr
    expected = ["dask scheduler --scheduler-file", *["dask worker --scheduler-file"] * 4]
    assert calls() == [*expected, "python -m huggingface.evaluate --model kolors engine=dask://10.0.0.1:8786"]
    assert not Path("build/dask-4711").exists()
    for pid in Path("pids").read_text().split():
        assert not Path("/proc", pid).exists() or " Z " in Path("/proc", pid, "stat").read_text()


def test_evaluate_without_workers_does_not_draw_alone(cluster):
    put(cluster, "dask", "#!/bin/bash\nexit 1\n")
    put(cluster, "python", '#!/bin/bash\necho "$*" >> calls\nexit 1\n')
    script = (CLUSTER / "evaluate.sbatch").read_text()
    Path("docs/cluster").unlink()
    Path("docs/cluster").mkdir()
    Path("docs/cluster/evaluate.sbatch").write_text(script.replace("seq 60", "seq 2"))
    done = submit("evaluate")
    assert done.returncode == 1 and "no dask worker of this job answered" in done.stderr
    assert not any("huggingface.evaluate" in call for call in calls())


def test_finetune_meets_on_the_first_node(cluster):
    done = submit("finetune", "--model", "my model", nodes=2)
    assert done.returncode == 0, done.stderr
    (one,) = set(calls())
    assert len(calls()) == 2 and one.startswith("torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d")
    assert "--rdzv-id 4711 --rdzv-endpoint node1:24711 -m huggingface.finetune --model my model engine= path=." in one


@pytest.mark.parametrize("script", sorted(path.stem for path in CLUSTER.glob("*.sbatch")))
def test_scripts_say_what_they_ask_for(script):
    text = (CLUSTER / f"{script}.sbatch").read_text(encoding="utf-8")
    assert f"docs/cluster/{script}.sbatch" in text and f"--job-name=easel-{script}" in text
    assert subprocess.run(["bash", "-n", CLUSTER / f"{script}.sbatch"], check=False).returncode == 0
    assert f"cluster/{script}.sbatch" in (REPOSITORY / "docs/many_devices.md").read_text(encoding="utf-8")


def test_two_processes_under_slurm_give_the_folder_of_one(cluster, tmp_path, monkeypatch):
    """The real command, twice at once, on a tiny Emu3."""
    from tests.huggingface.models.tiny import tiny
    from tests.huggingface.models.words import tokenizer

    tiny("emu3").model.save_pretrained("emu3")
    tokenizer().save_pretrained("emu3")
    Path("prompts.txt").write_text("a red star\na blue star\nblue\n")
    put(cluster, "python", f'#!/bin/bash\nPYTHONPATH={REPOSITORY} exec {sys.executable} "$@"\n')
    script = (CLUSTER / "generate.sbatch").read_text()
    Path("docs/cluster").unlink()
    Path("docs/cluster").mkdir()
    Path("docs/cluster/generate.sbatch").write_text(script.replace("per-node=4", "per-node=2"))
    given = ["--model", "emu3", "--prompts", "prompts.txt", "--size", "3x4", "--out"]
    done = submit("generate", *given, "two")
    assert done.returncode == 0, done.stderr
    from huggingface import generate

    assert generate.main([*given, "one"]) == 0
    names = sorted(path.name for path in Path("one").iterdir())
    assert sorted(path.name for path in Path("two").iterdir()) == names and "report.json" in names
    for name in names:
        if name.endswith(".png"):
            assert Path("two", name).read_bytes() == Path("one", name).read_bytes()
        elif name.startswith("000"):
            one, two = (json.loads(Path(place, name).read_text()) for place in ("one", "two"))
            assert one["codes"] == two["codes"] and one["seed"] == two["seed"]
