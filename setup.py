"""Maps the folders to one package: engine/ is quillian, with bindings/, cli/ and bench/ in it."""

import shutil
import sysconfig

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """Copies the modules of today only.

    build/ is never cleaned by setuptools, so a renamed module would live on in every later wheel.
    `bindings/build.py` goes into the sdist, which needs it, and not into the wheel, where the
    header that it reads does not exist.
    """

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def build_module(self, module: str, module_file: str, package: str) -> object:
        if (package, module) == ("quillian.bindings", "build"):
            return None
        return super().build_module(module, module_file, package)


def packages(folder: str, name: str) -> list[str]:
    return [name] + [f"{name}.{child}" for child in find_packages(folder)]


INSIDE = ("bindings", "cli", "bench")

free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # No abi3 there before 3.15.

setup(
    package_dir={"quillian": "engine"} | {f"quillian.{x}": x for x in INSIDE},
    packages=packages("engine", "quillian")
    + [name for x in INSIDE for name in packages(x, f"quillian.{x}")],
    package_data={
        "quillian": ["py.typed", "bundled/*"],
        "quillian.bindings": ["_core.pyi"],
    },
    cffi_modules=["bindings/build.py:ffi"],
    cmdclass={"build_py": FreshBuild},
    py_modules=[],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
