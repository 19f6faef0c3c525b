"""From prompt to ranked grid with untrained networks in the pipeline's own files: the whole path, one child process."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lib import generate
from lib.errors import EaselError
from lib.generate import Painter
from lib.models import clip, dalle_mini, vqgan
from lib.painter.painting import GAP, Painting
from lib.text import TextTokenizer
from tests import house

LENGTH, CODES, SIDE = 12, 16, 4
STRIDE = 4
PICTURE = STRIDE * SIDE
REPOSITORY = Path(__file__).parent.parent
ENGLISH, CHINESE = "a red star", "红色的星形"


pytestmark = pytest.mark.xdist_group("generate")  # one worker, and so one sampling process


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("build")
    text = TextTokenizer.train([ENGLISH, "a blue circle", CHINESE, "蓝色的圆形"] * 2, 400)
    text.save(path / "text/tokenizer.json")
    config = clip.ClipConfig(
        vocabulary=text.vocabulary, length=LENGTH, width=4, embedding=8, text_width=8, text_layers=1, text_heads=2
    )
    generator = torch.Generator().manual_seed(0)
    ranker = clip.Clip(config, generator)
    with torch.no_grad():  # away from its first weights, which hardly tell pictures apart
        for parameter in ranker.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    clip.save(ranker, path / "clip")
    tokenizer = vqgan.VQGAN(8, CODES, 4, 0.99, STRIDE, generator)
    tokenizer.quantizer.codebook.normal_(generator=generator)  # which only training fills
    vqgan.save(tokenizer, path / "tokenizer/coarse")
    config = dalle_mini.DalleMiniConfig(
        text_vocabulary=text.vocabulary,
        text_length=LENGTH,
        text_padding=text.pad_id,
        codes=CODES,
        image_length=SIDE**2,
        width=16,
        encoder_layers=1,
        decoder_layers=1,
        heads=2,
        feed_forward=16,
    )
    _, weights = dalle_mini.create(config, 0)
    dalle_mini.save(path / "dalle_mini/both/model.safetensors", config, weights)
    (path / "dalle_mini/both/metrics.json").write_text('{"tokenizer": "coarse"}')
    return path


@pytest.fixture(scope="module")
def painter(folder):
    with Painter(folder, batch_size=4, cores=1) as painter:
        yield painter


@pytest.fixture(scope="module")
def painting(painter):
    return painter.paint(ENGLISH, candidates=5)


def test_pictures_come_ranked_by_clip(painter, painting):
    assert painting.pictures.shape == (5, PICTURE, PICTURE, 3)
    assert painting.pictures.dtype == np.uint8
    assert (np.diff(painting.scores) <= 0).all()
    assert len(set(painting.scores)) > 1
    assert sorted(painting.order) == list(range(5))
    assert 0 <= painting.tokens.min() <= painting.tokens.max() < CODES  # BOS is CODES
    assert painting.passes.tolist() == [painting.tokens[0].size] * 5  # a token a pass
    # Pictures, tokens and scores still belong together, and the scores are CLIP's.
    np.testing.assert_array_equal(painting.pictures, vqgan.decode_batches(painter.vqgan, painting.tokens))
    seen = clip.embed_images(painter.clip, painting.pictures)
    read = clip.embed_texts(painter.clip, painter.text.encode([ENGLISH], LENGTH))
    np.testing.assert_allclose(painting.scores, 100 * seen @ read[0], atol=1e-3)


def drawn(painting):
    """Tokens in the order in which they were drawn."""
    return painting.tokens[np.argsort(painting.order)]


def test_a_picture_follows_from_prompt_seed_and_number_alone(painter, painting):
    process = painter.worker.process
    again, other = painter.paint_all([CHINESE, ENGLISH], candidates=3)[1], painter.paint(ENGLISH, 5, seed=1)
    np.testing.assert_array_equal(drawn(again), drawn(painting)[:3])
    assert (drawn(other) != drawn(painting)).any(axis=(1, 2)).all()
    assert painter.worker.process is process  # nothing was loaded anew


def test_defaults_are_the_studys():
    sampling = house.params("dalle_mini").sampling
    assert (sampling.guidance, sampling.top_p) == (generate.GUIDANCE, generate.TOP_P)


def test_settings_reach_the_sampler(painter):
    greedy = painter.paint(ENGLISH, 3, temperature=0)
    assert (greedy.tokens == greedy.tokens[:1]).all()
    for settings in ({"top_k": 1}, {"top_p": 1e-6}):
        np.testing.assert_array_equal(painter.paint(ENGLISH, 3, **settings).tokens, greedy.tokens)


def test_refusals_leave_the_painter_usable(painter, painting, monkeypatch):
    with pytest.raises(EaselError, match="a prompt is empty"):
        painter.paint("  ")
    with pytest.raises(EaselError, match=r"is too long: \d\d tokens, and CLIP reads 10"):
        painter.paint("a red star " * 9)
    with pytest.raises(EaselError, match="needs a list of prompts"):
        painter.paint_all(ENGLISH)
    with pytest.raises(EaselError, match="at least one candidate"):
        painter.paint(ENGLISH, candidates=0)
    with pytest.raises(EaselError, match="seed must lie in"):
        painter.paint(ENGLISH, seed=-1)
    with pytest.raises(EaselError, match="0 < top_p ≤ 1"):  # said by the child
        painter.paint(ENGLISH, top_p=2.0)
    np.testing.assert_array_equal(painter.paint(ENGLISH, candidates=5).tokens, painting.tokens)


def test_a_child_that_died_is_replaced_and_one_that_fails_says_why(painter, painting, capsys):
    painter.paint(ENGLISH, candidates=1)
    said = capsys.readouterr().out  # everything is loaded and compiled
    assert "loading" not in said and "compiling" not in said
    painter.worker.process.kill()
    painter.worker.process.wait()
    np.testing.assert_array_equal(painter.paint(ENGLISH, candidates=5).tokens, painting.tokens)
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["[paint] loading the model", "[paint] compiling, then drawing; later calls need not compile"]
    with pytest.raises(RuntimeError, match=r"(?s)ended with status 1.*TypeError.*unknown"):
        painter.worker.sample([ENGLISH], 2, 0, {"unknown": 1.0})


@pytest.mark.parametrize("name", generate.NEEDED)
def test_a_missing_network_names_the_command(folder, tmp_path, name):
    for there in generate.NEEDED:
        if there != name:
            (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / there).symlink_to(folder / there)
    with pytest.raises(EaselError, match=rf"there is no .*{name} .*`make repro` makes it"):
        Painter(tmp_path)


def test_command_line_writes_the_grid_and_prints_errors(painter, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(generate, "Painter", lambda folder, model: painter)  # one child for the whole file
    out = tmp_path / "new/grid.png"
    assert generate.main([ENGLISH, CHINESE, "--candidates", "3", "--out", str(out), "--top-k", "4"]) == 0
    assert Image.open(out).size == (3 * PICTURE + 2 * GAP, 2 * PICTURE + GAP)
    printed = capsys.readouterr()
    assert f"{CHINESE}: CLIP " in printed.out
    monkeypatch.undo()
    assert generate.main([ENGLISH, "--folder", str(tmp_path)]) == 2
    assert generate.main([ENGLISH, "--out", "grid.txt"]) == 2
    printed = capsys.readouterr().err
    assert "error: there is no" in printed and "error: --out grid.txt" in printed and "Traceback" not in printed


def test_ranks_run_from_left_to_right_and_the_notebook_sees_a_png():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    scores, tokens = np.array([1.0, 3.0, 2.0, 3.0, 0.0]), np.zeros((5, 1, 1), np.int32)
    painting = Painting.ranked("p", pictures, scores, tokens, passes=np.arange(5))
    assert painting.order.tolist() == painting.passes.tolist() == [1, 3, 2, 0, 4]
    grid = painting.grid(columns=3)
    assert grid.shape == (2 * 4 + GAP, 3 * 4 + 2 * GAP, 3)
    tiles = [grid[y : y + 4, x : x + 4] for y in (0, 4 + GAP) for x in (0, 4 + GAP, 8 + 2 * GAP)]
    assert [np.unique(tile).tolist() for tile in tiles] == [[1], [3], [2], [0], [4], [255]]
    assert (grid[4 : 4 + GAP] == 255).all()
    assert painting.grid().shape == (4, 5 * 4 + 4 * GAP, 3)
    shown = np.asarray(Image.open(io.BytesIO(painting._repr_png_())))
    np.testing.assert_array_equal(shown[::2, ::2], painting.grid())
