"""What cffi makes of csrc/quillian.h; its names are checked by the C compiler, not here."""

from typing import Any

ffi: Any
lib: Any
