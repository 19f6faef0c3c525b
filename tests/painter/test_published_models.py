"""Painting and editing with published models of every kind, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lib import edit, generate
from lib.errors import EaselError
from lib.generate import Painter
from lib.models import vqgan
from lib.painter import canvas
from lib.painter.published import folders, names
from tests.painter import tiny_painter
from tests.painter.tiny_painter import CODES, MODELS, PICTURE, PROMPTS, SIDE, STRIDE, STUDY

RED, BLUE = PROMPTS
FILLING = ("masked", "autoregressive")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return tiny_painter.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def painters(build):
    return {name: Painter(build, batch_size=3, model=f"{STUDY}/{name}") for name in MODELS}


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (PICTURE, PICTURE, 3), dtype=np.uint8)


@pytest.fixture
def hole():
    """Of pixels: it covers the cells of rows 1 and 2, columns 1 to 3, some of them in part."""
    return canvas.box((PICTURE, PICTURE), 6, 5, 7, 6)


def drawn(painting):
    """Tokens in the order in which they were drawn."""
    return painting.tokens[np.argsort(painting.order)]


def painted(painting):
    """Pictures in that order."""
    return painting.pictures[np.argsort(painting.order)]


SIDES = {"super_resolution": 2 * PICTURE, "pixels": PICTURE // 2}
PASSES = {"masked": 3, "autoregressive": SIDE**2, "super_resolution": 3 + 3, "latent": 2, "pixels": 2, "cascade": 2 + 2}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_paints_and_a_picture_is_the_same_in_any_batch(painters, name):
    painter, side = painters[name], SIDES.get(name, PICTURE)
    painting = painter.paint(RED, candidates=4)
    assert painting.passes.tolist() == [PASSES[name]] * 4
    assert painting.pictures.shape == (4, side, side, 3) and painting.pictures.dtype == np.uint8
    assert len({one.tobytes() for one in painting.pictures}) == 4 and len(set(painting.scores)) > 1
    again = painter.paint_all([BLUE, RED], candidates=2)
    near = painted(again[1]).astype(int) - painted(painting)[:2]
    assert np.abs(near).max() <= (1 if painting.tokens is None else 0)  # of pixels, rounding may be seen
    assert (painted(again[0]) != painted(again[1])).any()  # prompts are read
    assert (painted(painter.paint(RED, 4, seed=1)) != painted(painting)).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("pixels", "cascade")])
def test_tokens_are_those_of_the_pictures(painters, name):
    painting = painters[name].paint(RED, candidates=2)
    assert 0 <= painting.tokens.min() <= painting.tokens.max() < CODES
    np.testing.assert_array_equal(vqgan.decode_batches(painters[name].vqgan, painting.tokens), painting.pictures)


def test_both_models_of_a_cascade_follow_its_guidance(painters, monkeypatch):
    model, seen = painters["cascade"].worker.model, []
    first = model.base.draw
    monkeypatch.setattr(model.base, "draw", lambda *given: seen.append(given[-1].guidance) or first(*given))
    painters["cascade"].paint(RED, candidates=1, guidance=3.0)
    assert seen == [3.0]


def test_a_study_stands_for_the_model_of_its_that_edits(build, painters):
    by_study = Painter(build, model=STUDY).paint(RED, candidates=2)
    np.testing.assert_array_equal(by_study.tokens, painters["masked"].paint(RED, candidates=2).tokens)


@pytest.mark.parametrize("name", FILLING)
def test_what_is_outside_of_the_mask_stays(painters, picture, hole, name):
    painter = painters[name]
    painting = painter.edit(picture, RED, hole, candidates=4)
    original = vqgan.encode_batches(painter.vqgan, picture[None])[0]
    cells = np.zeros((SIDE, SIDE), bool)
    cells[1:3, 1:4] = True
    np.testing.assert_array_equal(canvas.cells(hole, STRIDE), cells)
    assert (painting.tokens[:, ~cells] == original[~cells]).all()
    assert (painting.tokens[:, cells] != original[cells]).any(axis=1).all()
    assert (painting.pictures[:, ~hole] == picture[~hole]).all()
    new = vqgan.decode_batches(painter.vqgan, painting.tokens)
    np.testing.assert_array_equal(painting.pictures[:, hole], new[:, hole])
    alone = painter.edit(picture, RED, hole, candidates=1)
    np.testing.assert_array_equal(alone.tokens[0], drawn(painting)[0])


def test_a_masked_model_sees_what_comes_after_the_hole_and_an_autoregressive_one_does_not(painters, picture):
    top = canvas.box((PICTURE, PICTURE), 0, 0, PICTURE, STRIDE)
    other = picture.copy()
    other[STRIDE:] = 255 - other[STRIDE:]
    for name, same in (("masked", False), ("autoregressive", True)):
        found = [drawn(painters[name].edit(one, RED, top, candidates=6))[:, 0] for one in (picture, other)]
        assert np.array_equal(*found) == same


def test_a_mask_of_everything_is_painting(painters, picture):
    everything = np.ones((PICTURE, PICTURE), bool)
    edited, painted = painters["masked"].edit(picture, RED, everything, 2), painters["masked"].paint(RED, 2)
    np.testing.assert_array_equal(edited.pictures, painted.pictures)


def test_editing_without_a_mask_changes_a_share_of_the_tokens_an_iteration(painters, picture):
    painter = painters["masked"]
    original = vqgan.encode_batches(painter.vqgan, picture[None])[0]
    for iterations in (1, 3):
        painting = painter.edit(picture, BLUE, candidates=5, iterations=iterations, share=0.125, top_k=0)
        changed = (painting.tokens != original).sum(axis=(1, 2))
        assert (changed <= 2 * iterations).all() and changed.any()
        np.testing.assert_array_equal(painting.pictures, vqgan.decode_batches(painter.vqgan, painting.tokens))
        assert painting.passes.tolist() == [iterations] * 5
    assert (painter.edit(picture, BLUE, candidates=5).tokens != original).mean() > 0.5  # the paper's 100 iterations


def test_settings_are_those_that_were_published_unless_others_are_given(painters):
    painter = painters["masked"]
    assert painter.sampling == tiny_painter.MASKED | {"top_k": 0}
    usual = painter.paint(RED, 3)
    np.testing.assert_array_equal(painter.paint(RED, 3, **tiny_painter.MASKED).tokens, usual.tokens)
    assert (painter.paint(RED, 3, guidance=8).tokens != usual.tokens).any()
    greedy = painter.paint(RED, 3, temperature=0, order="halton", noise=0)
    assert (greedy.tokens == greedy.tokens[:1]).all()


REFUSED = [
    ("masked", lambda one, picture, hole: one.paint("  "), "a prompt is empty"),
    ("masked", lambda one, picture, hole: one.edit(picture, "", hole), "a prompt is empty"),
    ("masked", lambda one, picture, hole: one.paint("a red star " * 9), "is too long"),
    ("latent", lambda one, picture, hole: one.paint(RED, temperature=1.0), "no setting temperature; it has guidance, "),
    ("masked", lambda one, picture, hole: one.paint(RED, order="spiral"), "order is 'spiral', must be one of"),
    ("masked", lambda one, picture, hole: one.paint(RED, steps=17), r"steps must be 1 … 16"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, steps=4), "unknown key 'steps'"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, hole, share=0.5), "unknown key 'share'"),
    ("masked", lambda one, picture, hole: one.edit(picture[:8], RED), "16 pixels wide and 8 high; .* 16 wide and 16"),
    ("masked", lambda one, picture, hole: one.edit(picture / 255, RED), r"uint8 \[H, W, 3\], not float64"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, hole[:4]), r"bool \[16, 16\] .*, not bool \[4, 16\]"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, hole * 255), "a mask is bool .*, not int64"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, hole & False), "the mask is empty"),
    ("masked", lambda one, picture, hole: one.edit(picture, RED, hole, candidates=0), "at least one candidate"),
    ("latent", lambda one, picture, hole: one.edit(picture, RED, hole), "latent diffusion does not fill gaps; a mask"),
    ("super_resolution", lambda one, picture, hole: one.edit(picture, RED, hole), "enlarges does not fill gaps"),
    ("cascade", lambda one, picture, hole: one.edit(picture, RED), "cascade .* does not edit without a mask"),
    ("autoregressive", lambda one, picture, hole: one.edit(picture, RED), "autoregressive .* edit without a mask"),
]


@pytest.mark.parametrize(("name", "ask", "message"), REFUSED)
def test_what_cannot_be_is_said(painters, picture, hole, name, ask, message):
    with pytest.raises(EaselError, match=message):
        ask(painters[name], picture, hole)


def test_a_box_lies_in_the_picture():
    assert canvas.box((4, 6), 1, 2, 5, 2).sum() == 10
    for wrong in ((-1, 0, 2, 2), (0, 0, 0, 2), (0, 3, 1, 2), (4, 0, 3, 1)):
        with pytest.raises(EaselError, match="does not lie in a picture 6 wide and 4 high"):
            canvas.box((4, 6), *wrong)


def test_models_that_are_not_there_are_told_with_those_that_are(build, tmp_path):
    assert names(build) == [f"{STUDY}/{name}" for name in sorted(MODELS)]
    assert len(folders(build, STUDY)) == len(MODELS)
    for wrong in ("rom", f"{STUDY}/mask", "", "../x"):
        with pytest.raises(EaselError, match=rf"no model '{wrong}' .* there are room/autoregressive, room/cascade, "):
            Painter(build, model=wrong)
    with pytest.raises(EaselError, match=r"`make networks` brings those .* `make repro STUDY=rom` makes"):
        Painter(build, model="rom/masked")
    with pytest.raises(EaselError, match=r"no .*text/tokenizer.json .*`make networks`"):
        Painter(tmp_path, model=STUDY)


@pytest.fixture
def copied(build, tmp_path):
    return shutil.copytree(build, tmp_path / "build")


def test_a_kind_that_is_not_known_is_named(copied):
    tiny_painter.publish(copied, "masked", kind="voxels")
    with pytest.raises(EaselError, match=r"model.safetensors is of kind 'voxels'; a painter knows masked, auto"):
        Painter(copied, model=f"{STUDY}/masked")


def test_an_enlarging_model_needs_the_one_that_draws_small_pictures(copied):
    shutil.rmtree(copied / STUDY / "painter/masked")
    with pytest.raises(EaselError, match=r"enlarges the pictures of .*masked, which is not there"):
        Painter(copied, model=f"{STUDY}/super_resolution")
    assert Painter(copied, model=STUDY).worker.model.name == "an autoregressive model"


def test_settings_of_another_kind_are_refused_with_their_file(copied):
    about = copied / STUDY / "painter/latent/painter.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"sampling": {"guidance": 1.0, "stops": 2}}))
    with pytest.raises(EaselError, match=r"(?s)painter.json:.*sampling.stops'; did you mean 'steps'"):
        Painter(copied, model=f"{STUDY}/latent")


def test_weights_are_kept_in_half_precision_and_compute_in_full(build, painters):
    network = painters["masked"].worker.model.network
    assert {str(parameter.dtype) for parameter in network.parameters()} == {"torch.float32"}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (build / STUDY / "painter/masked/model.safetensors").stat().st_size < 2 * parameters + 6000


def test_the_command_line_paints_with_a_named_model(build, tmp_path, capsys):
    out = tmp_path / "grid.png"
    given = ["--model", f"{STUDY}/latent", "--folder", str(build), "--candidates", "2", "--steps", "1"]
    assert generate.main([RED, BLUE, *given, "--out", str(out)]) == 0
    assert Image.open(out).size == (2 * PICTURE + 2, 2 * PICTURE + 2)
    assert f"{BLUE}: CLIP " in capsys.readouterr().out
    assert generate.main([RED, *given, "--top-p", "0.5", "--out", str(out)]) == 2
    assert "no setting top_p" in capsys.readouterr().err


def test_the_command_line_edits(build, painters, picture, hole, tmp_path, capsys):
    file, out = tmp_path / "picture.png", tmp_path / "edited.png"
    Image.fromarray(picture).save(file)
    Image.fromarray(hole).save(tmp_path / "mask.png")
    given = [str(file), RED, "--model", STUDY, "--folder", str(build), "--candidates", "1", "--out", str(out)]
    outside = ~canvas.box((PICTURE, PICTURE), 4, 4, 8, 8)
    for option, mask in (
        (["--hole", "6", "5", "7", "6"], hole),
        (["--mask", str(tmp_path / "mask.png")], hole),
        (["--keep", "4", "4", "8", "8"], outside),
        (["--share", "0.5"], None),
    ):
        assert edit.main([*given, *option]) == 0
        settings = {"share": 0.5} if mask is None else {}
        wanted = painters["masked"].edit(file, RED, mask, 1, **settings)
        np.testing.assert_array_equal(np.asarray(Image.open(out)), wanted.pictures[0])
    assert "best pictures first" in capsys.readouterr().out
    for wrong, said in (
        (["--hole", "9", "0", "8", "8"], "does not lie in"),
        (["--mask", str(tmp_path / "none.png")], "No such file"),
        (["--mask", str(build / "text/tokenizer.json")], "cannot be read"),
        (["--keep", "0", "0", "16", "16"], "the mask is empty"),
    ):
        assert edit.main([*given, *wrong]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("error: ") and said in printed


def test_dalle_mini_says_that_it_does_not_edit(picture):
    painter = Painter.__new__(Painter)
    painter.worker = generate.Worker("build", 1, 1)
    with pytest.raises(EaselError, match="DALL·E Mini does not edit without a mask; a masked model does"):
        painter.edit(picture, RED)
