"""`WeightStore`: the versions of a policy, one immutable safetensors file each.

Invariant: a published version never changes and is visible only when whole; its header carries the version
and a checksum of the tensors. The learner publishes; collectors and evaluation load the newest. A file that
does not pass is skipped by name and left where it is.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from distrl_trainer.storage import write_atomic

logger = logging.getLogger(__name__)

_NAME = re.compile(r"^v(\d{6,})\.safetensors$")


class WeightsError(RuntimeError):
    """A version is missing, corrupt or already published; the message names the file."""


class LoadedWeights(msgspec.Struct, frozen=True):
    """The tensors of one `version`, on the CPU."""

    version: int
    tensors: dict[str, torch.Tensor]


class WeightStore:
    """A folder of versions, made if absent. `publish` keeps the newest `keep` and deletes older ones."""

    def __init__(self, folder: Path, keep: int = 4) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 version must stay")
        self.folder = Path(folder)
        self.keep = keep
        self.folder.mkdir(parents=True, exist_ok=True)
        self._reported: set[str] = set()

    def publish(self, tensors: dict[str, torch.Tensor], version: int) -> Path:
        """Store `tensors` (copied to the CPU) as `version` and return the path.

        Raises:
            WeightsError: This version exists.
            StorageError: The disk is full or not writable; earlier versions are intact.
        """
        path = self.path(version)
        if path.exists():
            raise WeightsError(f"{path} exists and versions never change; publish a higher one")
        # Copies, because safetensors refuses tensors that share memory, as tied weights do.
        own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
        write_atomic(path, save(own, metadata={"version": str(version), "sha256": checksum(own)}))
        self.prune()
        return path

    def path(self, version: int) -> Path:
        """Return the file of `version`, whether or not it exists."""
        return self.folder / f"v{version:06d}.safetensors"

    def versions(self) -> list[int]:
        """Return the versions present, oldest first."""
        matches = (_NAME.match(entry.name) for entry in self.folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def latest(self) -> int | None:
        """Return the newest version present, None if there is none."""
        return max(self.versions(), default=None)

    def load(self, version: int) -> LoadedWeights:
        """Return `version`.

        Raises:
            WeightsError: It is missing, corrupt, or another version under this name.
        """
        path = self.path(version)
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except FileNotFoundError as error:
            raise WeightsError(f"{path} does not exist; present versions: {self.versions()}") from error
        except SafetensorError as error:
            raise WeightsError(f"{path} is corrupt or half-written: {error}") from error
        if metadata.get("version") != str(version):
            raise WeightsError(f"{path} says it holds version {metadata.get('version')!r}, not {version}")
        if metadata.get("sha256") != checksum(tensors):
            raise WeightsError(f"{path} is corrupt: its tensors do not match the checksum in its header")
        return LoadedWeights(version, tensors)

    def load_latest(self, newer_than: int = -1) -> LoadedWeights | None:
        """Return the newest good version above `newer_than`, None if there is none.

        A corrupt one is skipped with one log line; the one before it is used.
        """
        for version in reversed(self.versions()):
            if version <= newer_than:
                return None
            try:
                return self.load(version)
            except WeightsError as error:
                self._report(version, error)
        return None

    def prune(self) -> None:
        """Delete all but the newest `keep` versions."""
        for version in self.versions()[: -self.keep]:
            self.path(version).unlink(missing_ok=True)

    def _report(self, version: int, error: WeightsError) -> None:
        name = self.path(version).name
        if name not in self._reported:
            self._reported.add(name)
            logger.warning("skipped weights %s, using the version before it: %s", name, error)


def checksum(tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of CPU tensors, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
