"""Maps the folders to one package: engine/ is quillian, bindings/ and cli/ are inside it."""

import sysconfig

from setuptools import find_packages, setup


def packages(folder: str, name: str) -> list[str]:
    return [name] + [f"{name}.{child}" for child in find_packages(folder)]


free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # No abi3 there before 3.15.

setup(
    package_dir={"quillian": "engine", "quillian.bindings": "bindings", "quillian.cli": "cli"},
    packages=packages("engine", "quillian")
    + packages("bindings", "quillian.bindings")
    + packages("cli", "quillian.cli"),
    package_data={
        "quillian": ["py.typed", "bundled/*"],
        "quillian.bindings": ["_core.pyi"],
    },
    cffi_modules=["bindings/build.py:ffi"],
    py_modules=[],
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
