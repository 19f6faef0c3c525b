"""Pictures of a file of prompts into a folder: what is written, going on after an interruption, refusals."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from huggingface import gallery, generate
from huggingface import pictures as module
from huggingface.models.folder import check, load
from huggingface.models.predictor import HFPredictor
from huggingface.models.prompts import Prompts
from lib.decoding import decoders
from lib.decoding.noise import RowRandom
from lib.models.autoregressive_predictor import Sampling
from tests.huggingface.models.tiny import tiny
from tests.huggingface.models.words import tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    top = tmp_path_factory.mktemp("models")
    for kind in ("emu3", "llama", "janus"):
        tiny(kind).model.save_pretrained(top / kind)
        tokenizer().save_pretrained(top / kind)
    return top


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("\ufeffa red star\n\na blue star on red\nblue\n", encoding="utf-8")


def run(model, *more, size="3x4"):
    sizes = ["--size", size] if size else []
    return generate.main(["--model", str(model), "--prompts", "prompts.txt", "--out", "out", *sizes, *more])


def read(name):
    return json.loads(open(f"out/{name}", encoding="utf-8").read())


def test_every_picture_is_that_of_its_seed(models, capsys, tmp_path):
    assert (
        run(models / "emu3", "--pictures", "2", "--guidance", "2", "--negative", "blue", "--seed", "7", "--batch", "4")
        == 0
    )
    out = capsys.readouterr().out
    assert out.startswith("6 pictures of 12 tokens in out:")
    family = load(check(models / "emu3", (3, 4)))
    layout, words = family.layout(family.config, (3, 4)), tokenizer()
    records = [read(f"{number:04}-{candidate}.json") for number in range(3) for candidate in range(2)]
    assert [record["prompt"] for record in records[::2]] == ["a red star", "a blue star on red", "blue"]
    for index, record in enumerate(records):
        prompt, other = (
            Prompts.of([family.prompt(family.config, words, text, layout)]) for text in (record["prompt"], "blue")
        )
        predictor = HFPredictor(family, prompt, layout, Sampling(2.0), other)
        expected = decoders.run("autoregressive", predictor, RowRandom([7 + index]), {}, 4).tokens
        assert record["codes"] == expected[0].tolist() and record["seed"] == 7 + index
        assert sum(record["accepted"]) == 12 and len(record["accepted"]) == record["passes"] and record["forced"] == 6
        with torch.no_grad():
            pixels = family.pictures(expected, layout)[0].numpy()
        found = np.asarray(Image.open(tmp_path / f"out/{record['number']:04}-{record['candidate']}.png"))
        assert np.array_equal(found, pixels)
    report = read("report.json")
    assert report["mean_passes"] == np.mean([record["passes"] for record in records])
    assert sum(report["passes_by_accepted_length"]) == sum(record["passes"] for record in records)
    assert report["seconds"] > 0 and report["class"] == "Emu3ForConditionalGeneration" and report["forced_tokens"] == 6


def test_the_same_command_goes_on(models, monkeypatch):
    """Interrupted after a batch: what is there stays as it is, the rest is drawn, and nothing of it differs."""
    assert run(models / "emu3", "--batch", "1") == 0
    whole = [read(f"000{number}-0.json")["codes"] for number in range(3)]
    (first := module.Path("out/0000-0.json")).write_text(
        first.read_text().replace('"passes"', '"marked": 1,\n "passes"')
    )
    for name in ("0001-0.json", "0002-0.json", "0002-0.png", "report.json"):
        module.Path("out", name).unlink()
    drawn, write = [], module._write
    monkeypatch.setattr(
        module, "_write", lambda *given: drawn.append([one.number for one in given[1]]) or write(*given)
    )
    assert run(models / "emu3", "--batch", "2") == 0
    assert drawn == [[1, 2]] and read("0000-0.json")["marked"] == 1
    assert [read(f"000{number}-0.json")["codes"] for number in range(3)] == whole
    assert module.Path("out/0002-0.png").exists() and read("report.json")["pictures"] == 3
    monkeypatch.setattr(module.folders, "load", None)  # nothing is left: no weight is loaded
    assert run(models / "emu3") == 0


def contents():
    """Every file of the folder: pictures as bytes, JSON without times."""
    found = {}
    for path in sorted(module.Path("out").iterdir()):
        if path.suffix == ".png":
            found[path.name] = path.read_bytes()
        else:
            found[path.name] = {k: v for k, v in read(path.name).items() if k not in ("seconds", "batch")}
    return found


@pytest.mark.parametrize("way", ["--process", "torchrun"])
def test_two_processes_give_the_folder_of_one(models, monkeypatch, capsys, way):
    """Whichever ends last writes the report, over the pictures of both."""
    settings = ["--pictures", "2", "--seed", "3"]
    assert run(models / "emu3", *settings) == 0
    whole = contents()
    module.Path("out").rename("one")
    for index in (1, 0):
        assert not module.Path("out/report.json").exists()
        if way == "torchrun":
            monkeypatch.setenv("RANK", str(index))
            monkeypatch.setenv("WORLD_SIZE", "2")
        capsys.readouterr()
        assert run(models / "emu3", *settings, *(["--process", f"{index}/2"] if way == "--process" else [])) == 0
        said = capsys.readouterr().out
        assert said.startswith("6 pictures" if index == 0 else "share 1 of 2 is in out")
        if index == 1:
            assert len(list(module.Path("out").glob("*.png"))) == 3
    assert contents() == whole


def test_processes_that_write_the_same_file_do_not_meet(tmp_path, monkeypatch):
    """The settings, which all processes write: each has a temporary file of its own."""
    made = []
    monkeypatch.setattr(gallery.os, "replace", lambda part, path: made.append(part.name))
    for number in (7, 8):
        monkeypatch.setattr(gallery.os, "getpid", lambda number=number: number)
        gallery.put(tmp_path / "settings.json", {})
    assert len(set(made)) == 2


def test_other_settings_need_another_folder(models, capsys):
    assert run(models / "llama") == 0
    assert run(models / "llama", "--temperature", "0.5") == 2
    assert "pictures of other settings (temperature was 1.0 and is 0.5)" in capsys.readouterr().err
    module.Path("prompts.txt").write_text("red\n")
    assert run(models / "llama") == 2
    assert "is of another prompt than line 1 now is" in capsys.readouterr().err


def test_a_class_without_a_decoder_of_pictures_leaves_codes(models):
    assert run(models / "llama", "--decoder", "sjd", "--option", "window=5") == 0
    assert len(read("0002-0.json")["codes"]) == 12 and not list(module.Path("out").glob("*.png"))


def test_janus_with_its_own_guidance(models):
    assert run(models / "janus", "--guidance", "3", "--temperature", "0", size=None) == 0
    family = load(check(models / "janus"))
    ids = torch.tensor([family.prompt(family.config, tokenizer(), "blue", None)])
    mask = torch.ones_like(ids)
    expected = family.model.generate(
        ids, attention_mask=mask, generation_mode="image", do_sample=False, guidance_scale=3.0, max_length=64
    )
    assert read("0002-0.json")["codes"] == expected[0].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "there is no folder nowhere"),
        (["--prompts", "none.txt"], "--prompts none.txt: No such file"),
        (["--prompts", "."], "--prompts ."),
        (["--prompts", "blank.txt"], "has no line with words"),
        (["--prompts", "latin.txt"], "not in UTF-8"),
        (["--size", "3"], "--size 3: write rows and columns"),
        (["--size", "0x4"], "at least one row"),
        (["--option", "window"], "--option window: write key=value"),
        (["--option", "window=wide"], "window is 'wide'"),
        (["--option", "initial=diagonal"], "initial is 'diagonal', must be one of"),
        (["--decoder", "sdj"], "no decoder 'sdj'"),
        (["--steps", "3"], "has no denoising steps"),
        (["--guidance", "-1"], "guidance ≥ 0"),
        (["--top-k", "-1"], "top_k ≥ 0"),
        (["--seed", "-1"], "seeds lie in"),
        (["--seed", "4294967294"], "seeds lie in"),
        (["--pictures", "0"], "at least one picture"),
        (["--batch", "0"], "at least one picture"),
        (["--process", "2"], "--process 2: write which process of how many"),
        (["--process", "2/2"], "process 2 of 2 does not exist; they are numbered from 0 to 1"),
        (["--out", "prompts.txt"], "--out prompts.txt"),
        (["--out", "damaged"], "settings.json is not valid JSON"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(models, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(module.folders, "load", None)
    module.Path("blank.txt").write_text("\n \n")
    module.Path("latin.txt").write_bytes("é\n".encode("latin-1"))
    module.Path("damaged").mkdir()
    module.Path("damaged/settings.json").write_text("{")
    assert run(models / "emu3", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1
