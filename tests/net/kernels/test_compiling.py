"""That the kernels compile for a GPU, for which none is needed: Triton's interpreter takes more than its compiler."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="triton is not installed (pip install 'trtdream[dev]')")

SCRIPT = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from trtdream.net.kernels import lrn, max_pool

POOL = dict(KH=3, KW=3, SH=2, SW=2, PH=0, PW=0, SPOTS=32, CHANNELS=32)
FLOATS = {"factor", "beta", "k", "least"}

def type_of(name, element, constants):
    if name in constants:
        return "constexpr"
    if name == "place_ptr":
        return "*u8"
    return f"*{element}" if name.endswith("_ptr") else "fp32" if name in FLOATS else "i32"

for room, constants in ((lrn, dict(HALF=2, BLOCK=256)), (max_pool, POOL)):
    for kernel in (room._forward_kernel, room._backward_kernel):
        for element in ("bf16", "fp32"):
            types = {name: type_of(name, element, constants) for name in kernel.arg_names}
            values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
            compiled = triton.compile(ASTSource(kernel, types, values), target=GPUTarget("cuda", 90, 32))
            print(len(compiled.asm["cubin"]))
"""


@pytest.mark.full
def test_they_compile_for_an_h100() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len([size for size in done.stdout.split() if int(size) > 0]) == 8
