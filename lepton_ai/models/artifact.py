"""Artifact: a saved model is a folder of JSON and safetensors, each file with its SHA-256.

::

    model/
      lepton.json         architecture, task, what the fields learned, lineage, hashes of the rest
      model.safetensors   the weights
      golden/             raw inputs, encoded tensors, outputs and predictions of some examples
      forms/<engine>/     the optimised form that answers, where there is one

Nothing in it is code and nothing in it is a path to code: names resolve through the registry only.
Every hash is checked before any weight is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

import lepton_ai
from lepton_ai import registry
from lepton_ai.errors import (
    ArtifactError,
    DataError,
    IntegrityError,
    LeptonError,
    UnknownNameError,
    UnsafeFormatError,
)
from lepton_ai.models import golden
from lepton_ai.tasks.task import Task
from lepton_ai.workspace.files import file_digest, new_folder, to_json

FORMAT = 1
MANIFEST, WEIGHTS = "lepton.json", "model.safetensors"
LARGEST_MANIFEST = 256 * 2**20


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model; the folder appears whole or not at all.

    Raises:
        ArtifactError: The path is a file, or a folder that holds something else.
    """
    target = Path(path).absolute()
    if target.exists() and not (target / MANIFEST).is_file():
        raise ArtifactError(
            f"Expected a new folder, or one that holds a saved model; {target} is neither. "
            "Choose another path."
        )
    architecture = model.to_config()
    with new_folder(target) as folder:
        tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
        save_file(_unshared(tensors), folder / WEIGHTS)
        if model.golden is not None:
            _save_golden(golden.record(model), folder / "golden")
        engine = None
        if model.engine is not None:
            name = registry.name_of("engines", type(model.engine))
            form = folder / "forms" / name
            form.mkdir(parents=True)
            model.engine.save(form)
            engine = {"name": name, **model.engine.config()}
        manifest = {
            "format": FORMAT,
            "lepton_ai": lepton_ai.__version__,
            "architecture": architecture,
            "task": model.task.to_config(),
            "specs": model.specs,
            "seed": model.seed,
            "lineage": model.lineage,
            "engine": engine,
            "files": {
                file.relative_to(folder).as_posix(): {
                    "sha256": file_digest(file), "bytes": file.stat().st_size,
                }
                for file in sorted(folder.rglob("*")) if file.is_file()
            },
        }  # fmt: skip
        manifest["digest"] = _digest(manifest)
        # the order of fields is the order in which a network reads them
        (folder / MANIFEST).write_text(to_json(manifest, ordered=False), encoding="utf8")


def load(path: str | os.PathLike[str]) -> Any:
    """Read a saved model, after every hash in it was checked.

    Raises:
        IntegrityError: A file is missing or changed.
        UnsafeFormatError: A file is of a format that could run code.
        ArtifactError: A name in it is not in the registry, or its parts do not fit.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    model = _rebuild(folder, manifest)
    try:
        tensors = load_file(folder / WEIGHTS)
        expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        received = {k: tuple(v.shape) for k, v in tensors.items()}
        if expected != received:
            odd = sorted(set(expected.items()) ^ set(received.items()))[0][0]
            raise ArtifactError(
                f"Expected the weights of the architecture in {folder / MANIFEST}; "
                f"{folder / WEIGHTS} differs at {odd!r}."
            )
        model.load_state_dict(tensors)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{folder / WEIGHTS} cannot be read: {error}.") from error
    model.golden = _load_golden(folder / "golden", model)
    if manifest.get("engine"):
        arguments = dict(manifest["engine"])
        name = arguments.pop("name")
        kind = registry.lookup("engines", name)
        model.engine = kind.load(folder / "forms" / registry.canonical("engines", name), arguments)
    model.eval()
    return model


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a saved model, its own digest checked.

    Raises:
        ArtifactError: The folder holds no saved model.
    """
    if folder.is_file():
        _refuse_unsafe(folder)
        raise ArtifactError(f"Expected the folder of a saved model; {folder} is a file.")
    file = folder / MANIFEST
    if not file.is_file():
        raise IntegrityError(
            f"Expected a saved model; {file} is missing. Give the folder that model.save() wrote."
        )
    if file.stat().st_size > LARGEST_MANIFEST:
        raise ArtifactError(f"Expected {file} to be at most {LARGEST_MANIFEST:,} bytes.")
    try:
        manifest = json.loads(file.read_text(encoding="utf8"))
    except (ValueError, RecursionError) as error:
        _refuse_unsafe(file)
        raise IntegrityError(f"{file} is not the JSON that was saved: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("digest") != _digest(manifest):
        raise IntegrityError(f"{file} was changed after it was saved: its digest does not fit.")
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            f"Expected format {FORMAT} in {file}; received {manifest.get('format')!r}. It was "
            f"saved by lepton-ai {manifest.get('lepton_ai')}; install that version or a newer one."
        )
    return manifest


def verify_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Check that every file is there, is a plain file inside the folder, and has its hash.

    Raises:
        IntegrityError: A file is missing or changed; the message names it.
        UnsafeFormatError: A file begins like a pickle or an archive that holds one.
    """
    files = manifest.get("files")
    if not isinstance(files, dict) or WEIGHTS not in files:
        raise ArtifactError(f"Expected {folder / MANIFEST} to list {WEIGHTS}.")
    for name, entry in files.items():
        file = folder / name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts and "\\" not in name
        if not inside or any(part.is_symlink() for part in (file, *file.parents[:3])
                             if part != folder and folder in part.parents):  # fmt: skip
            raise IntegrityError(f"Expected files inside {folder}; received {name!r}.")
        if not file.is_file():
            raise IntegrityError(f"{file} is missing. Copy the whole folder again.")
        _refuse_unsafe(file)
        if file.stat().st_size != entry["bytes"] or file_digest(file) != entry["sha256"]:
            raise IntegrityError(
                f"{file} is not what was saved: its SHA-256 differs. Copy the folder again."
            )


def _refuse_unsafe(file: Path) -> None:
    with file.open("rb") as opened:
        head = opened.read(8)
    if (
        (head[:1] == b"\x80" and head[1:2] <= b"\x06")
        or head[:2] == b"PK"
        or (head[:6] == b"\x93NUMPY")
    ):
        if file.suffix == ".safetensors" and head[:2] != b"PK" and _is_safetensors(file):
            return
        raise UnsafeFormatError(
            f"Expected JSON or safetensors; {file} is a pickle or an archive that may hold one, "
            "which could run code. Load it where you trust it and save its weights as safetensors."
        )


def _is_safetensors(file: Path) -> bool:
    try:
        with safe_open(file, framework="numpy") as opened:
            opened.keys()
        return True
    except (SafetensorError, OSError):
        return False


def _rebuild(folder: Path, manifest: dict[str, Any]) -> Any:
    """The model without its weights; every name resolves through the registry."""
    try:
        task = Task.from_config(manifest["task"])
        architecture = manifest["architecture"]
        kind = registry.lookup("networks", architecture["kind"])
        model = kind.from_config(architecture, task)
        model.specs = manifest["specs"]
        model.seed = int(manifest["seed"])
        model.lineage = dict(manifest["lineage"])
        if manifest.get("engine"):
            registry.canonical("engines", manifest["engine"]["name"])
        model.build()
        return model
    except UnknownNameError as error:
        raise ArtifactError(
            f"{folder / MANIFEST} names something that is not registered: {error} A class of your "
            "own must be registered before loading: lai.register(kind, name, thing)."
        ) from error
    except ArtifactError as error:
        raise ArtifactError(f"{folder / MANIFEST}: {error}") from error
    except (LeptonError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{folder / MANIFEST} does not describe a model that can be built: {error!r}."
        ) from error


def _digest(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(to_json(rest).encode()).hexdigest()


def _unshared(tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors that share memory, each with memory of its own (safetensors wants that)."""
    seen: set[int] = set()
    out = {}
    for name, tensor in tensors.items():
        pointer = tensor.data_ptr()
        out[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return out


def _save_golden(recorded: golden.Golden, folder: Path) -> None:
    folder.mkdir()
    (folder / "inputs.json").write_text(to_json(recorded.inputs), encoding="utf8")
    (folder / "predictions.json").write_text(to_json(recorded.predictions), encoding="utf8")
    save_file(_unshared(recorded.encoded), folder / "encoded.safetensors")
    save_file(_unshared(recorded.outputs), folder / "outputs.safetensors")


def read_golden(folder: str | os.PathLike[str]) -> golden.Golden | None:
    """The golden answers of a saved model, ``None`` when it holds none."""
    place = Path(folder)
    if not (place / "inputs.json").is_file():
        return None
    return golden.Golden(
        json.loads((place / "inputs.json").read_text(encoding="utf8")),
        load_file(place / "encoded.safetensors"),
        load_file(place / "outputs.safetensors"),
        json.loads((place / "predictions.json").read_text(encoding="utf8")),
    )


def _load_golden(folder: Path, model: Any) -> Any:
    from lepton_ai.data.dataset import Dataset

    recorded = read_golden(folder)
    if recorded is None:
        return None
    fields = model.task.inputs
    try:
        return Dataset(golden.columns_from_json(recorded.inputs, fields), fields)
    except DataError as error:
        raise ArtifactError(f"{folder / 'inputs.json'}: {error}") from error
