"""Progress lines."""

from lib.progress import Progress


def test_lines_hold_share_numbers_and_time_left(capsys):
    progress = Progress("draw", 200, already=100, every=0.0)
    progress.started -= 10.0  # as if 10 s had passed
    progress.update(150, loss=0.5)
    assert capsys.readouterr().out == "[draw] 150/200  75 %  loss 0.5  10 s left\n"


def test_silent_between_lines_and_for_short_work(capsys):
    progress = Progress("draw", 100, every=60.0)
    progress.update(50)
    progress.update(100)
    assert capsys.readouterr().out == ""
