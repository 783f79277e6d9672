"""Damage to files, drawn by hypothesis: bytes of any format, structure of HDF5."""

import os
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st

SECRET = 424_242
"""Value of every number, and in every text, of a file that no reader may look into."""

_EXTREMES = tuple(
    (value % 2 ** (8 * size)).to_bytes(size, "little")
    for size in (1, 2, 4, 8)
    for value in (0, 1, -1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 255)
)

# What a person or another program may have put where a dataset should be.
_IMPOSTORS = {
    "text": "not a number",
    "texts": np.array([b"a", b"bc"], "S2"),
    "nan": np.full(3, np.nan),
    "nothing": np.zeros((0, 4), "f4"),
    "one number": 7,
    "negative": np.full((3, 3), -(2**62)),
    "huge labels": np.full((4, 4), 2**62),
    "truth": np.ones((2, 2), bool),
    "complex": np.ones((4, 4), "c8"),
    "compound": np.zeros(3, [("a", "i4"), ("b", "f8")]),
    "five axes": np.zeros((1, 1, 2, 2, 2)),
    "line": np.arange(5.0),
    "reference": "reference",
    "empty": h5py.Empty("f4"),
}
_ABSURD_SHAPES = (
    (10**6, 10**6),
    (2**40,),
    (10**9, 64, 64),
    (3, 2**20, 2**20),
    (2**31, 2**31),
)
_LINKS = (
    "outside link",
    "outside text",
    "outside group",
    "outside virtual",
    "outside raw",
    "to itself",
    "in a circle",
    "to the root",
    "to nowhere",
    "device",
)


def byte_damage():
    """Draw edits of a file's bytes; places are fractions of its length."""
    # Hypothesis likes round numbers, and byte 0 breaks every file in the same way.
    place = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).random())
    edits = st.one_of(
        st.tuples(st.just("flip"), place, st.integers(0, 7)),
        st.tuples(st.just("write"), place, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("write"), place, st.sampled_from(_EXTREMES)),
        st.tuples(st.just("zero"), place, st.integers(1, 512)),
        st.tuples(st.just("copy"), place, place),
        st.tuples(st.just("cut"), place, st.none()),
        st.tuples(st.just("append"), place, st.binary(max_size=64)),
    )
    # Headers are where damage has the most to say, and most files are mostly data.
    near_start = st.booleans()
    return st.tuples(near_start, st.lists(edits, min_size=1, max_size=6))


def structure_damage():
    """Draw an edit of one object of an HDF5 file, named by its number."""
    number = st.integers(0, 10**6)
    return st.one_of(
        st.tuples(st.just("delete"), number, st.none()),
        st.tuples(st.just("replace"), number, st.sampled_from(sorted(_IMPOSTORS))),
        st.tuples(st.just("absurd"), number, st.sampled_from(_ABSURD_SHAPES)),
        st.tuples(st.just("link"), number, st.sampled_from(_LINKS)),
        st.tuples(st.just("cast"), number, st.sampled_from(("u1", "f2", ">i8", "S4"))),
        st.tuples(st.just("transpose"), number, st.none()),
        st.tuples(st.just("values"), number, st.sampled_from((-1, 0, 2**31, np.nan))),
    )


def apply_bytes(path, damage):
    """Edit the bytes of a file."""
    near_start, edits = damage
    content = bytearray(path.read_bytes())
    for kind, place, value in edits:
        reach = min(len(content), 4096) if near_start else len(content)
        at = int(place * reach)
        if kind == "flip" and content:
            content[at] ^= 1 << value
        elif kind == "write":
            content[at : at + len(value)] = value
        elif kind == "zero":
            content[at : at + value] = bytes(min(value, len(content) - at))
        elif kind == "copy":
            source = int(value * len(content))
            content[at : at + 64] = content[source : source + 64]
        elif kind == "cut":
            del content[int(place * len(content)) :]
        elif kind == "append":
            content += value
    path.write_bytes(content)


def apply_structure(path, damage):
    """Edit an object of an HDF5 file; its neighbours stay whole."""
    kind, number, value = damage
    with h5py.File(path, "r+", locking=False) as file:
        names = []
        file.visititems(lambda name, _: names.append(name))
        if not names:
            return
        name = sorted(names)[number % len(names)]
        item = file[name]
        if kind == "values":
            _fill(item, float(value))
            return
        stored = item[()] if isinstance(item, h5py.Dataset) else None
        del file[name]
        _put_in_place(file, name, stored, kind, value)


def _fill(item, value):
    if isinstance(item, h5py.Dataset) and item.shape and item.dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            item[...] = np.full(item.shape, value).astype(item.dtype)


def _put_in_place(file, name, stored, kind, value):
    if kind == "replace":
        impostor = _IMPOSTORS[value]
        file[name] = file.ref if value == "reference" else impostor
    elif kind == "absurd":
        chunks = tuple(min(length, 64) for length in value)
        file.create_dataset(name, value, "u2", chunks=chunks)
    elif kind == "link":
        _link(file, name, value)
    elif (
        kind == "cast" and isinstance(stored, np.ndarray) and stored.dtype.kind in "iuf"
    ):
        with np.errstate(all="ignore"):
            file[name] = stored.astype(value)
    elif kind == "transpose" and isinstance(stored, np.ndarray):
        file[name] = stored.T


def _link(file, name, kind):
    folder = Path(file.filename).parent
    outside = folder.parent / "outside.h5"
    match kind:
        case "outside link":
            file[name] = h5py.ExternalLink(str(outside), "/stack")
        case "outside text":
            file[name] = h5py.ExternalLink(str(outside), "/text")
        case "outside group":
            file[name] = h5py.ExternalLink(str(outside), "/")
        case "outside virtual":
            layout = h5py.VirtualLayout((4, 8, 8), "u4")
            layout[...] = h5py.VirtualSource(str(outside), "/stack", (4, 8, 8))
            file.create_virtual_dataset(name, layout)
        case "outside raw":
            raw = [(str(folder.parent / "outside.raw"), 0, 4 * 4 * 64)]
            file.create_dataset(name, (4, 8, 8), "u4", external=raw)
        case "device":
            file.create_dataset(
                name, (4, 8, 8), "u4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]
            )
        case "to itself":
            file[name] = h5py.SoftLink(f"/{name}")
        case "in a circle":
            file["circle"] = h5py.SoftLink(f"/{name}")
            file[name] = h5py.SoftLink("/circle")
        case "to the root":
            file[name] = file["/"]
        case _:
            file[name] = h5py.SoftLink("/nowhere/at/all")


def write_outside(folder):
    """Write what damaged files link to: all of it holds the secret."""
    stack = np.full((4, 8, 8), SECRET, "u4")
    with h5py.File(folder / "outside.h5", "w") as file:
        file["stack"] = stack
        file["text"] = f"secret {SECRET}"
        for name in ("/", "/stack", "/text"):
            # Names of attributes that readers look for.
            told = dict.fromkeys(("0", "1", "frame_time"), SECRET)
            texts = dict.fromkeys(("sample", "uid", "detector"), f"secret {SECRET}")
            file[name].attrs.update({**told, **texts})
    (folder / "outside.raw").write_bytes(stack.tobytes())


def replace_by(path, copy):
    """Put a whole copy of a file back in its place."""
    part = path.with_name("whole.part")
    part.write_bytes(copy)
    os.replace(part, path)  # noqa: PTH105 - atomic, whatever a reader still holds
