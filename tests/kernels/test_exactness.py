"""`exact_products` restores every setting that it changes, after errors and between threads."""

import threading

import torch
from twinsae.kernels.exactness import exact_products

CPU = torch.device("cpu")


def test_settings_are_restored_after_an_error(threads) -> None:
    threads(2)
    onednn = torch.backends.mkldnn.matmul
    torch.set_float32_matmul_precision("medium")
    try:
        with exact_products(CPU):
            assert torch.get_num_threads() == 1
            assert onednn.fp32_precision == "ieee"
            raise KeyError
    except KeyError:
        assert torch.get_num_threads() == 2
        assert onednn.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_tf32_is_off_inside() -> None:
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "tf32"
    try:
        with exact_products(torch.device("cuda")):
            assert settings.fp32_precision == "ieee"
        assert settings.fp32_precision == "tf32"
    finally:
        settings.fp32_precision = before


def test_overlapping_callers_do_not_lose_the_threads(threads) -> None:
    threads(2)
    seen = []

    def work() -> None:
        for _ in range(50):
            with exact_products(CPU):
                seen.append(torch.get_num_threads())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
