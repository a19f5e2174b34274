"""Several seeds at once beside each alone: what is run, and how costs are added up."""

import re

import pytest
from twinsae.bench import seeds
from twinsae.bench.problem import Shape
from twinsae.bench.seeds import ALONE, TOGETHER, Cost, bench_seeds, run_cost
from twinsae.cli.main import main

SHAPE = Shape(num_tokens=16, d_in=5, num_latents=20, k=2)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_run_and_what_the_steps_cost(monkeypatch, capsys, stream) -> None:
    commands = []

    def cost(words, folder) -> Cost:
        words = [*words]
        commands.append(words)
        number = words.index("--batch-size") - words.index("--seeds") - 1
        if stream:
            steps = int(words[words.index("--tokens") + 1]) // 16
        else:
            steps = (folder / "x.npy").stat().st_size // (16 * 5 * 4)
        # Starting costs 100; a step 3 and 1 for each seed.
        wall = 100 + steps * (3 + number)
        return Cost(wall, 2 * wall)

    monkeypatch.setattr(seeds, "_cost", cost)
    found = bench_seeds(SHAPE, 4, stream, steps=10, rounds=2)
    assert found == {TOGETHER: Cost(70, 140), ALONE: Cost(160, 320)}
    assert len(commands) == 8
    assert all(("--stream" in words) == stream for words in commands)
    more = ["--stream"] if stream else []
    assert main(["bench", "seeds", "--shape", *map(str, SHAPE), "--steps", "10", *more]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\| at once +\| +70.00 \| +140.00 \| 0.44x \| +0.44x \|", shown)
    assert re.search(r"\| each alone +\| +160.00 \| +320.00 \| 1.00x \| +1.00x \|", shown)
    assert f"{'with' if stream else 'without'} harvesting; the median of 3." in shown


def test_a_run_costs_time_and_a_failed_one_says_why() -> None:
    found = run_cost(SHAPE, ["0"], stream=False, steps=1)
    assert found.wall > 0
    assert found.processor > 0.1
    with pytest.raises(RuntimeError, match=r"twinsae train: error: .*k: 30 active latents of only"):
        run_cost(SHAPE._replace(k=30), ["0"], stream=False, steps=1)
