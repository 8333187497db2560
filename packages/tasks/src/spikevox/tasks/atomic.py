"""Files and folders that are either there in full or not at all, also when the process is killed in between."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError


def write_atomically(path: Path, data: bytes) -> None:
    """Writes bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A temporary file is private; the result gets the rights that a plain open would give it.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes a ``.npy``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes a compressed ``.npz``."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which takes the name ``path`` when all is written, and is removed where that fails.

    Until then it is ``.NAME.partial`` beside ``path``. One that a killed process left there is emptied and used again.

    Raises:
        ConfigError: ``path`` is a file or a folder that is not empty, or another process is filling it.
    """
    import fcntl  # not on Windows, where the files above work

    path = Path(path).resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} is there already and not empty; name a folder that is not.")
    partial = path.parent / f".{path.name}.partial"
    partial.mkdir(parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        # The system lets go of it however the process ends.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in partial.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except BlockingIOError as error:
        raise ConfigError(f"{path} is being made by another process; wait, or name another folder.") from error
    finally:
        os.close(handle)
