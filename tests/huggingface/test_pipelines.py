"""Pictures of a pipeline of diffusers into a folder: what is written, going on, shares, refusals."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from huggingface import pipelines
from huggingface.gallery import Share
from huggingface.pipelines import Settings, draw
from lib.errors import EaselError
from tests.huggingface.models import tiny_pipelines as tiny

PROMPTS = ["a red star", "a blue star on red", "blue"]
SMALL = {"steps": 2, "guidance": 3.0, "size": (16, 8)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.folder(tiny.aura_flow(), tmp_path_factory.mktemp("models") / "aura")


def test_every_picture_is_that_of_its_seed(model, tmp_path):
    settings = Settings(str(model), seed=5, pictures=2, negative="blue", **SMALL)
    report = draw(settings, PROMPTS, tmp_path / "out", batch=4)
    own = {"num_inference_steps": 2, "guidance_scale": 3.0, "height": 16, "width": 8, "negative_prompt": ["blue"]}
    for index in range(6):
        name = f"{index // 2:04}-{index % 2}"
        expected = tiny.own(tiny.aura_flow(), [PROMPTS[index // 2]], [5 + index], **own)[0]
        found = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        assert found.shape == (16, 8, 3) and abs(found.astype(int) - expected).max() <= 1  # another batch
        record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert record["prompt"] == PROMPTS[index // 2] and record["seed"] == 5 + index
    assert report["pictures"] == 6 and report["class"] == "AuraFlowPipeline" and report["size"] == [16, 8]
    assert report["parameters"] == sum(
        weight.numel()
        for network in (tiny.aura_flow().components[name] for name in ("text_encoder", "transformer", "vae"))
        for weight in network.parameters()
    )
    assert json.loads(json.dumps(report)) == json.loads((tmp_path / "out/report.json").read_text())


def test_shares_and_what_is_left_are_drawn_once(model, tmp_path, monkeypatch):
    settings, out, called = Settings(str(model), **SMALL), tmp_path / "out", []
    call = pipelines.call
    monkeypatch.setattr(
        pipelines, "call", lambda *given: called.append([one.number for one in given[2]]) or call(*given)
    )
    assert draw(settings, PROMPTS, out, 2, Share(1, 2)) is None
    assert draw(settings, PROMPTS, out, 2, Share(0, 2))["pictures"] == 3
    (out / "0001-0.json").unlink()
    assert draw(settings, PROMPTS, out)["pictures"] == 3
    assert called == [[1], [0, 2], [1]]
    monkeypatch.setattr(pipelines.pipeline_folder, "load", None)  # nothing is left: no weight is loaded
    pipelines._loaded.cache_clear()
    draw(settings, PROMPTS, out)
    with pytest.raises(EaselError, match=r"other settings \(steps was 2 and is 3\)"):
        draw(Settings(str(model), **SMALL | {"steps": 3}), PROMPTS, out)


def test_a_picture_that_is_nan_is_an_error(model, tmp_path, monkeypatch):
    pipeline = tiny.aura_flow()
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(float("nan"))
    monkeypatch.setattr(pipelines, "_loaded", lambda *_: pipeline)
    with pytest.raises(EaselError, match="drew NaN in float32; try --dtype bfloat16 or float32"):
        draw(Settings(str(model), **SMALL), PROMPTS, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.png"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "at least one step, not 0"),
        ({"pictures": 0}, "at least one picture of every prompt, not 0"),
        ({"guidance": -1.0}, "a number ≥ 0"),
        ({"guidance": float("nan")}, "a number ≥ 0"),
        ({"size": (12, 16)}, "multiples of 8 up to 8192 pixels, not 12 and 16"),
        ({"size": (0, 8)}, "multiples of 8"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(EaselError, match=message):
        Settings("anywhere", **settings)


def test_what_the_pipeline_refuses_is_said_in_one_line():
    def pipeline(**_):
        raise ValueError("`height` has to be\n divisible by 16")

    with pytest.raises(EaselError, match=r"^aura: `height` has to be divisible by 16$"):
        pipelines.call(pipeline, Settings("aura", size=(8, 24)), [])


def test_an_empty_batch_is_refused(model, tmp_path):
    with pytest.raises(EaselError, match="at least one picture at once, not 0"):
        draw(Settings(str(model)), PROMPTS, tmp_path, batch=0)
