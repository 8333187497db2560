"""Builds csrc/ into a shared library that ctypes loads; where it does not compile, the package is installed without it."""

import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = sorted(str(path) for path in Path("csrc").glob("*.cpp"))
X86 = platform.machine().lower() in ("x86_64", "amd64")
# No floating-point traps are read, which leaves the compiler free to choose between two values without a branch.
FLAGS = ["-std=c++17", "-O3", "-g0", "-fno-trapping-math", "-fvisibility=hidden", "-pthread"]
FLAGS += ["-DSPIKEVOX_X86"] if X86 else []
# Each file of kernels is compiled for the processors that will run it; which one that is, is decided at run time.
KERNEL_FLAGS = {
    "kernels_avx2.cpp": ["-mavx2", "-mfma"],
    "kernels_avx512.cpp": ["-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mfma", "-mprefer-vector-width=512"],
}


class BuildNative(build_ext):
    """Flags by file, and a name without Python's version: the library does not know Python."""

    def get_ext_filename(self, fullname: str) -> str:
        """``spikevox/layers/_native.so`` for any Python."""
        return str(Path(*fullname.split("."))) + (".dll" if sys.platform == "win32" else ".so")

    def build_extension(self, ext: Extension) -> None:
        """Compiles file by file, then links."""
        objects = []
        for source in ext.sources:
            flags = [*FLAGS, *(KERNEL_FLAGS.get(Path(source).name, []) if X86 else [])]
            objects += self.compiler.compile(
                [source], output_dir=self.build_temp, extra_postargs=flags, depends=ext.depends
            )
        target = self.get_ext_fullpath(ext.name)
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(objects, target, extra_postargs=["-pthread"], target_lang="c++")


setup(
    ext_modules=[
        Extension(
            "spikevox.layers._native",
            SOURCES,
            depends=sorted(str(path) for path in Path("csrc").iterdir()),
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildNative},
)
