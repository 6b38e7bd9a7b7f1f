"""Packs rendered PNG files into a Windows .ico and a macOS .icns. Usage: icons.py DIR ICO ICNS"""

import pathlib
import struct
import sys

ICO_SIZES = [32, 16, 24, 48, 64, 256]
ICNS_TYPES = {
    b"icp4": 16,
    b"icp5": 32,
    b"ic07": 128,
    b"ic08": 256,
    b"ic09": 512,
    b"ic10": 1024,
    b"ic11": 32,
    b"ic12": 64,
    b"ic13": 256,
    b"ic14": 512,
}


def ico(images: dict[int, bytes]) -> bytes:
    """The directory of an .ico says 0 where it means 256."""
    entries, body = b"", b""
    offset = 6 + 16 * len(ICO_SIZES)
    for size in ICO_SIZES:
        png = images[size]
        side = size % 256
        entries += struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(png), offset + len(body))
        body += png
    return struct.pack("<HHH", 0, 1, len(ICO_SIZES)) + entries + body


def icns(images: dict[int, bytes]) -> bytes:
    """Each member is its type, its length with these eight bytes, and a PNG."""
    members = b"".join(
        kind + struct.pack(">I", 8 + len(images[size])) + images[size]
        for kind, size in ICNS_TYPES.items()
    )
    return b"icns" + struct.pack(">I", 8 + len(members)) + members


def main() -> None:
    folder, ico_path, icns_path = map(pathlib.Path, sys.argv[1:4])
    images = {int(path.stem): path.read_bytes() for path in folder.glob("*.png")}
    ico_path.write_bytes(ico(images))
    icns_path.write_bytes(icns(images))


if __name__ == "__main__":
    main()
