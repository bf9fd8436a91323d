"""Writes the archives of this folder. Needs tar and bsdtar on the PATH."""

import json
import pathlib
import struct
import subprocess
import tarfile
import tempfile

here = pathlib.Path(__file__).resolve().parent
source = pathlib.Path(tempfile.mkdtemp())

values = struct.pack("<6f", 0, 0, 10, 0, 0, 10)
header = json.dumps({"centroids": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, len(values)]}}).encode()
header += b" " * (-len(header) % 8)
(source / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + values)
(source / "manifest.json").write_text(json.dumps({"algorithm": "kmeans", "feature_dim": 2}))
(source / "code").mkdir()
(source / "code" / ("n" * 120 + ".py")).write_text("pass\n")
(source / "code" / "größe.py").write_text("pass\n")
members = ["manifest.json", "model.safetensors", "code"]


def fits_ustar(member):
    return member if len(member.name) <= 100 else None


for name, form in [("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)]:
    with tarfile.open(here / f"python-{name}.tar.gz", "w:gz", format=form) as archive:
        for member in members:
            archive.add(source / member, arcname=member, filter=fits_ustar if name == "ustar" else None)

for name, arguments in [
    ("gnu-tar", ["tar", "."]),
    ("gnu-tar-posix", ["tar", "--format=posix", "."]),
    ("gnu-tar-names", ["tar", *members]),
    ("bsdtar", ["bsdtar", "."]),
    ("bsdtar-ustar", ["bsdtar", "--format=ustar", *members[:2]]),
    ("bsdtar-gnutar", ["bsdtar", "--format=gnutar", "."]),
]:
    tool, *rest = arguments
    subprocess.run([tool, "-c", "-z", "-f", here / f"{name}.tar.gz", *rest], check=True, cwd=source)
