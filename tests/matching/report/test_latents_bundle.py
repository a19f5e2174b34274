"""The latent browser's committed bundle: small, complete, and one classic script."""

from pathlib import Path

STATIC = Path(__file__).parents[3] / "matching" / "report" / "static"
PACKAGES = ("preact", "@preact/signals", "@preact/signals-core")


def test_it_is_small():
    sizes = {name: (STATIC / name).stat().st_size for name in ("app.js", "app.css")}
    assert sizes["app.js"] <= 120_000
    assert sizes["app.css"] <= 30_000
    assert {path.name for path in STATIC.iterdir()} == set(sizes)


def test_its_head_carries_the_licences_of_what_it_contains():
    script = (STATIC / "app.js").read_text(encoding="utf-8")
    head = script[: script.index("*/")]
    assert script.startswith("/*!")
    for package in PACKAGES:
        assert f"\n{package}\n\n" in head
    assert head.count("Permission is hereby granted, free of charge") == len(PACKAGES)


def test_it_needs_no_network_and_no_modules():
    """A page from disk may load neither; and markup is never made from text."""
    script = (STATIC / "app.js").read_text(encoding="utf-8")
    code = script[script.index("*/") :]
    for call in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "eval(", "document.write"):
        assert call not in code
    assert "@import" not in (STATIC / "app.css").read_text(encoding="utf-8")
