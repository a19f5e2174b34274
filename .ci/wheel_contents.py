"""Checks what a wheel ships, and that it carries the licences of it."""

import sys
import zipfile
from pathlib import Path

wheel = Path(sys.argv[1])
with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    bundle = archive.read("twinsae/matching/report/static/app.js").decode()
    files = [name for name in names if "/licenses/" in name and not name.endswith("/")]
    licences = {Path(name).name: archive.read(name).decode() for name in files}
extensions = [name for name in names if Path(name).name.startswith("_native.cpython")]
assert len(extensions) == 3, extensions
assert "manylinux" in wheel.name, wheel.name
# auditwheel puts libraries that the extensions need there. Each would need its licence.
assert not [name for name in names if ".libs/" in name], "a library was added, without its licence"
assert "Apache License" in licences["LICENSE"]
assert "Wenzel Jakob" in licences["pybind11.txt"]
for package in ("\npreact\n", "\n@preact/signals\n"):  # build.mjs puts the licences on top
    assert "Permission is hereby granted" in bundle.partition(package)[2][:900], package
print(f"{wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB, licences {', '.join(licences)}")
