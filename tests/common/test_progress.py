from twinsae.common.progress import silent


def test_the_default_progress_says_nothing(capsys):
    silent("train", 1, 2, "steps", fvu=0.5)
    assert capsys.readouterr() == ("", "")
