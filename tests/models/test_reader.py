import numpy as np
import pytest
import torch

from lib.errors import EaselError
from lib.models import reader as readers
from lib.models.reader import CENTRE, CHANNELS, CLASSES, OFFSET, Reader, ReaderConfig, decode, reader_loss, truth_of
from lib.scenes.draw import draw
from lib.scenes.scene import Background, Object, Scene
from lib.scenes.vocabulary import BACKGROUNDS, COLOURS, SHAPES, SIZES, TEXTURES
from lib.training.supervised import Supervised


def empty_map(cells=8):
    prediction = np.zeros((CHANNELS, cells, cells), np.float32)
    prediction[CENTRE] = -5.0
    return prediction


def put(prediction, row, column, logit, offset, shape, colour, size, texture):
    prediction[CENTRE, row, column] = logit
    prediction[OFFSET, row, column] = offset
    for name, values, value in (
        ("shape", SHAPES, shape),
        ("colour", COLOURS, colour),
        ("size", SIZES, size),
        ("texture", TEXTURES, texture),
    ):
        prediction[CLASSES[name].start + values.index(value), row, column] = 4.0


def scene(*objects, kind="plain"):
    return Scene(tuple(objects), Background(kind, "grey"))


def test_classes_fill_the_channels_without_overlap():
    used = [CENTRE, *range(OFFSET.start, OFFSET.stop)]
    used += [channel for part in CLASSES.values() for channel in range(part.start, part.stop)]
    assert used == list(range(CHANNELS))
    assert {name: part.stop - part.start for name, part in CLASSES.items()} == {
        "shape": 8,
        "colour": 8,
        "size": 3,
        "texture": 3,
    }


def test_decode_gives_exactly_the_objects_of_a_hand_made_map():
    prediction = empty_map()
    put(prediction, 1, 2, 2.0, (0.25, -0.5), "star", "cyan", "large", "dotted")
    put(prediction, 6, 7, 4.0, (0.0, 0.0), "ring", "red", "small", "solid")
    put(prediction, 1, 3, 1.0, (-0.75, -0.5), "star", "cyan", "large", "dotted")  # weaker neighbour: same object
    put(prediction, 4, 0, -0.1, (0.0, 0.0), "heart", "pink", "small", "solid")  # below the threshold
    first, second = decode(prediction)
    assert first.pop("score") == pytest.approx(1 / (1 + np.exp(-4.0)))
    assert second.pop("score") == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert first == {"shape": "ring", "colour": "red", "size": "small", "texture": "solid", "x": 60.0, "y": 52.0}
    assert second == {"shape": "star", "colour": "cyan", "size": "large", "texture": "dotted", "x": 22.0, "y": 8.0}


@pytest.mark.parametrize("other", [(3, 4), (4, 3), (4, 4), (4, 2)])
def test_two_equal_neighbours_are_one_object(other):
    prediction = empty_map()
    put(prediction, 3, 3, 2.0, (0, 0), "star", "cyan", "large", "dotted")
    put(prediction, *other, 2.0, (0, 0), "star", "cyan", "large", "dotted")
    assert len(decode(prediction)) == 1


def test_an_empty_map_has_no_objects():
    assert decode(empty_map()) == []


def test_decoding_the_truth_gives_back_the_scene():
    objects = (
        Object("circle", "red", "small", "solid", 10, 12),
        Object("heart", "blue", "large", "striped", 40, 16),
        Object("ring", "pink", "medium", "dotted", 24, 48),
        Object("cross", "green", "small", "solid", 56, 56),
    )
    truth = truth_of([scene(*objects[:1]).to_json(), scene(*objects, kind="striped").to_json()])
    assert truth.background.tolist() == [BACKGROUNDS.index("plain"), BACKGROUNDS.index("striped")]
    prediction = np.zeros((CHANNELS, 8, 8))
    heat = truth.heat[1].numpy()
    prediction[CENTRE] = np.log((heat + 1e-6) / (1 - heat + 1e-6))
    prediction[OFFSET] = truth.offset[1]
    for name, part in CLASSES.items():
        np.put_along_axis(prediction[part], truth.classes[name][1].numpy()[None], 1.0, axis=0)
    found = sorted((d["shape"], d["colour"], d["size"], d["texture"], d["x"], d["y"]) for d in decode(prediction))
    assert found == sorted((o.shape, o.colour, o.size, o.texture, o.x, o.y) for o in objects)
    assert int((truth.heat == 1).sum()) == 5


def test_loss_falls_towards_the_truth():
    truth = truth_of([scene(Object("circle", "red", "small", "solid", 10, 12)).to_json()])
    right = torch.zeros(1, CHANNELS, 8, 8)
    right[:, CENTRE] = torch.where(truth.heat == 1, 12.0, -12.0)
    right[:, OFFSET] = truth.offset
    for name, part in CLASSES.items():
        right[:, part].scatter_(1, truth.classes[name][:, None], 20.0)
    kind = torch.full((1, 4), -20.0)
    kind[0, truth.background[0]] = 20.0
    assert reader_loss((right, kind), truth).item() < 1e-3
    wrong = right.clone()
    wrong[:, CLASSES["colour"]] = wrong[:, CLASSES["colour"]].roll(1, dims=1)
    assert reader_loss((wrong, kind), truth).item() == pytest.approx(20.0, abs=0.1)
    missed = right.clone()
    missed[:, CENTRE] = -12.0
    assert reader_loss((missed, kind), truth).item() == pytest.approx(12.0, abs=0.1)


def test_a_tiny_reader_learns_eight_scenes_by_heart():
    random = np.random.default_rng(0)
    scenes = []
    for number in range(8):
        picks = [random.choice(v) for v in (SHAPES, COLOURS, SIZES, TEXTURES)]
        first = Object(*map(str, picks), 18, 2 * int(random.integers(9, 20)))
        more = [Object(SHAPES[number], "red", "small", "solid", 48, 44)] if number % 2 else []
        scenes.append(scene(first, *more, kind=BACKGROUNDS[number % 3]))
    images = np.stack([draw(s, 64) for s in scenes])
    truth = truth_of([s.to_json() for s in scenes])
    model = Reader(ReaderConfig(8), torch.Generator().manual_seed(0))
    batch = torch.from_numpy(readers.to_float(images))
    learner = Supervised(model, lambda step, rows: reader_loss(model(batch), truth), steps=120, learning_rate=1e-2)
    for step in range(120):
        learner.step(step, np.arange(8))
    for reading, true in zip(readers.read(model.eval(), images), scenes, strict=True):
        found = sorted((d["shape"], d["colour"], d["size"], d["texture"]) for d in reading["objects"])
        assert found == sorted((o.shape, o.colour, o.size, o.texture) for o in true.objects)
        assert reading["background"] == true.background.kind
        for detection in reading["objects"]:
            assert min(np.hypot(detection["x"] - o.x, detection["y"] - o.y) for o in true.objects) < 2.0


def test_reading_is_the_same_from_a_larger_picture_and_after_loading(tmp_path):
    model = Reader(ReaderConfig(4), torch.Generator().manual_seed(0)).eval()
    readers.save(model, tmp_path)
    again = readers.load(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert readers.read(model, images, batch_size=2) == readers.read(again, images, batch_size=2)
    flat = np.full((1, 64, 64, 3), 90, np.uint8)
    double = np.full((1, 128, 128, 3), 90, np.uint8)
    small, large = again(torch.from_numpy(readers.to_float(flat)))[0], None
    large = again(torch.from_numpy(readers.to_float(double)))[0]
    assert small.shape == (1, CHANNELS, 8, 8) and large.shape == (1, CHANNELS, 16, 16)
    assert readers.read(again, flat)[0]["background"] == readers.read(again, double)[0]["background"]


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(EaselError, match="does not exist"):
        readers.load(tmp_path)
