import os
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from lib.errors import EaselError
from lib.evidence import figures, grids, provenance

ROOT = Path(__file__).parents[2]

DRAW = """
import sys
import matplotlib
matplotlib.use("Agg")
import numpy as np
import pandas as pd
from lib.evidence import figures, grids

values = np.arange(5)
with figures.style():
    figure, axes = figures.axes(width="single")
    for number in range(3):
        axes.plot(values, values * number, label=f"series {number}", **figures.series(number))
    axes.set(xlabel="step", ylabel="loss (nat)", title="Loss $\\\\alpha$")
    axes.legend()
    figures.save(figure, "out/plot", pd.DataFrame({"x": values}), stage="s", sources=["made.py"])
pictures = (np.arange(2 * 8 * 8 * 3) % 256).astype(np.uint8).reshape(2, 8, 8, 3)
grid = grids.picture_grid(pictures, 2, ["a red circle", "two stars"], width="single")
figures.save(grid, "out/grid", pd.DataFrame({"n": [1, 2]}), stage="s", sources=["made.py"])
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("requirements.lock", "made.py"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    plt.close("all")


def test_another_process_writes_identical_bytes_and_embeds_fonts(repository):
    other = repository / "other"
    other.mkdir()
    for name in ("requirements.lock", "made.py"):
        (other / name).write_text("x")
    # Another hash seed, another start, and nothing drawn before: what an order or a counter would change shows.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "12345"}
    process = subprocess.Popen([sys.executable, "-W", "error", "-c", DRAW], cwd=other, env=environment)
    draw()
    exec(DRAW, {})
    assert process.wait() == 0
    written = [{path.name: path.read_bytes() for path in (root / "out").iterdir()} for root in (repository, other)]
    assert written[0] == written[1]
    assert set(written[0]) == {f"{name}.{kind}" for name in ("plot", "grid") for kind in ("pdf", "png", "csv", "json")}
    for name in ("plot.pdf", "grid.pdf"):
        assert b"/Type3" not in written[0][name]
        assert b"/FontFile2" in written[0][name]
        assert b"CreationDate" not in written[0][name]


HOSTILE = """
axes.facecolor: yellow
axes.edgecolor: red
axes.formatter.use_locale: True
axes.prop_cycle: cycler('color', ['r', 'g'])
axes.titleweight: bold
axes.unicode_minus: False
figure.constrained_layout.h_pad: 0.5
figure.facecolor: pink
font.sans-serif: Comic Sans MS
image.cmap: jet
legend.loc: lower left
lines.antialiased: False
lines.linestyle: --
mathtext.fontset: stix
patch.edgecolor: green
path.sketch: 1, 100, 2
pdf.compression: 0
savefig.bbox: tight
savefig.dpi: 37
savefig.facecolor: cyan
savefig.transparent: True
text.color: blue
text.usetex: True
xtick.direction: in
ytick.labelsize: 20
no.such.key: 1
"""


def test_settings_of_the_machine_change_no_figure(repository):
    (repository / "matplotlibrc").write_text(HOSTILE)
    draws = DRAW.replace(
        "import sys", "import locale, os, sys\nos.umask(0o077)\nlocale.setlocale(locale.LC_ALL, '')", 1
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MATPLOTLIBRC": str(repository / "matplotlibrc")}
    environment |= {"HOME": str(repository / "absent"), "LC_ALL": "C", "MPLBACKEND": "svg", "TZ": "Asia/Tokyo"}
    environment |= {"MPLCONFIGDIR": matplotlib.get_configdir()}  # where the list of fonts is
    written = []
    for program, surroundings in ((draws, environment), (DRAW, {**os.environ, "PYTHONPATH": str(ROOT)})):
        other = repository / str(len(written))
        other.mkdir()
        for name in ("requirements.lock", "made.py"):
            (other / name).write_text("x")
        subprocess.run([sys.executable, "-c", program], cwd=other, env=surroundings, check=True, timeout=300)
        written.append({path.name: path.read_bytes() for path in (other / "out").iterdir()})
    assert written[0] == written[1] and len(written[0]) == 8


def test_the_style_ends_with_its_block(repository):
    with matplotlib.rc_context({"axes.facecolor": "yellow"}):
        with figures.style():
            assert matplotlib.rcParams["axes.facecolor"] == "white"
        assert matplotlib.rcParams["axes.facecolor"] == "yellow"


def draw(width="single", **options):
    with figures.style():
        figure, axes = figures.axes(width, **options)
        np.ravel(axes)[0].plot([1, 2], [1, 2])
        np.ravel(axes)[0].set(xlabel="step", ylabel="PSNR (dB)")
    return figure


def save(figure, name="plot", data=None, **origin):
    data = pd.DataFrame({"x": [1, 2], "y": [0.1, 0.2]}) if data is None else data
    return figures.save(figure, f"figs/{name}", data, **{"stage": "s", "sources": ["made.py"], **origin})


def test_saved_figure_has_its_width_data_and_sidecar(repository):
    paths = save(draw(), claims=["C21"])
    assert [path.name for path in paths] == ["plot.pdf", "plot.png", "plot.csv", "plot.json"]
    assert Path("figs/plot.csv").read_text() == "x,y\n1,0.1\n2,0.2\n"
    provenance.check("figs")
    assert "C21" in provenance.whence("figs/plot.png")
    assert plt.imread("figs/plot.png").shape[1] == round(3.25 * figures.DPI)


def test_several_frames_of_data(repository):
    frame = pd.DataFrame({"x": [1]})
    names = [path.name for path in save(draw(), data={"curve": frame, "points": frame})]
    assert names == ["plot.pdf", "plot.png", "plot.curve.csv", "plot.points.csv", "plot.json"]


def test_bad_names_data_and_widths(repository):
    for name in ("Plot", "plot.pdf", "my plot"):
        with pytest.raises(EaselError, match="lower case letters, digits"):
            save(draw(), name)
    for data in (pd.DataFrame(), {}):
        with pytest.raises(EaselError, match="no plotted data"):
            save(draw(), data=data)
    with pytest.raises(EaselError, match="one of single, double, not 'triple'"):
        figures.axes("triple")
    with pytest.raises(EaselError, match="tell 8 series apart"):
        figures.series(8)


@pytest.mark.parametrize(("width", "options"), [("single", {}), ("double", {"columns": 2})])
def test_letters_are_seven_points_or_more_at_print_size(repository, width, options):
    figure = draw(width, **options)
    save(figure)
    assert figure.get_size_inches()[0] == figures.WIDTHS[width]
    sizes = [text.get_fontsize() for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]
    assert sizes and min(sizes) >= 7


def test_cut_off_labels_are_refused_before_anything_is_written(repository):
    figure = draw()
    figure.axes[0].set_ylabel("a label that is much too long for a panel of this height (dB)")
    with pytest.raises(EaselError, match=r"Figure plot: something sticks out of the page by \d\.\d\d in"):
        save(figure)
    assert not Path("figs").exists()


def test_style_ends_with_the_block():
    before = plt.rcParams["pdf.fonttype"]
    with figures.style():
        assert plt.rcParams["pdf.fonttype"] == 42
    assert plt.rcParams["pdf.fonttype"] == before


def lightness_and_opponents(rgb):
    """CIELAB of linear sRGB [3] (D65)."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = matrix @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes (2009), deuteranopia, severity 1.0; for linear RGB.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def linear(colour):
    encoded = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def test_all_pairs_of_colours_differ_under_deuteranopia_and_neighbours_in_grey():
    seen = [lightness_and_opponents(DEUTERANOPIA @ linear(colour)) for colour in figures.PALETTE.values()]
    pairs = [np.linalg.norm(seen[i] - seen[j]) for i in range(len(seen)) for j in range(i)]
    assert min(pairs) > 15  # a difference of about 2 is just noticeable
    grey = [lightness_and_opponents(linear(colour))[0] for colour in figures.PALETTE.values()]
    assert np.abs(np.diff(grey)).min() > 10


def test_series_differ_without_colour():
    looks = [(figures.series(i)["linestyle"], figures.series(i)["marker"]) for i in range(8)]
    assert len({line for line, _ in looks}) == 8 and len({marker for _, marker in looks}) == 8


def test_picture_grid_shows_the_pixels_in_their_places(repository):
    colours = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200]], dtype=np.uint8)
    pictures = np.broadcast_to(colours[:, None, None], (3, 4, 4, 3)).copy()
    pictures[:, 0, 0] = 255  # the top left pixel
    figure = grids.picture_grid(pictures, 2, width="single")
    save(figure, "grid")
    shown = (plt.imread("figs/grid.png")[..., :3] * 255).round().astype(int)
    height, width = shown.shape[:2]
    middle = [shown[height // 4, width // 4], shown[height // 4, 3 * width // 4], shown[3 * height // 4, width // 4]]
    assert [pixel.tolist() for pixel in middle] == colours.tolist()
    assert shown[3 * height // 4, 3 * width // 4].tolist() == [255, 255, 255]
    assert shown[height // 4 - width // 6, width // 4 - width // 6].tolist() == [255, 255, 255]  # corner of the first
    inside = np.unique(shown[height // 8 : height // 3, width // 8 : width // 3].reshape(-1, 3), axis=0)
    assert inside.tolist() in ([[200, 0, 0]], [[200, 0, 0], [255, 255, 255]])  # sharp: no mixed pixels


def test_picture_grid_titles_fit_their_cells(repository):
    pictures = np.zeros((6, 8, 8, 3), np.uint8)
    titles = ["a large red square with stripes above a small blue circle on a speckled background", "a star"] * 3
    figure = grids.picture_grid(pictures, 3, titles, width="single")
    save(figure, "grid")
    cell = figure.bbox.width / 3
    for text in figure.findobj(plt.Text):
        if text.get_text():
            assert text.get_fontsize() >= 7
            assert text.get_window_extent(figure.canvas.get_renderer()).width <= cell


def test_picture_grid_refuses_other_arrays_and_letters_without_a_font(monkeypatch):
    with pytest.raises(EaselError, match=r"needs uint8 \[N, S, S, 3\], got float64 \[1, 8, 8, 3\]"):
        grids.picture_grid(np.zeros((1, 8, 8, 3)), 1)
    pictures = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(EaselError, match="2 titles for 1 pictures"):
        grids.picture_grid(pictures, 1, ["a", "b"])
    monkeypatch.setattr(matplotlib.font_manager.fontManager, "ttflist", [])
    assert figures.drawable("a red circle, $5") and not figures.drawable("红色的圆")
    with pytest.raises(EaselError, match="No font here has the letters"):
        grids.picture_grid(pictures, 1, ["红色的圆"])
