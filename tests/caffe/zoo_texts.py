"""Long networks of Caffe's zoo as prototxt text, in the styles in which they were published."""

from __future__ import annotations

VGG16 = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]


def vgg16(v1: bool) -> str:
    """The deploy file of VGG-16: of 2014 with `layers` and upper-case types, or upgraded."""
    layers = 'name: "VGG_ILSVRC_16_layers"\ninput: "data"\n' + "".join(f"input_dim: {n}\n" for n in (10, 3, 224, 224))
    types = {"Convolution": "CONVOLUTION", "ReLU": "RELU", "Pooling": "POOLING", "Dropout": "DROPOUT"}
    types |= {"InnerProduct": "INNER_PRODUCT", "Softmax": "SOFTMAX"}

    def layer(name: str, kind: str, bottom: str, top: str, param: str = "") -> str:
        head, kind = ("layers", types[kind]) if v1 else ("layer", f'"{kind}"')
        return f'{head} {{\n  bottom: "{bottom}"\n  top: "{top}"\n  name: "{name}"\n  type: {kind}\n{param}}}\n'

    blob = "data"
    for stage, widths in enumerate(VGG16, 1):
        for index, width in enumerate(widths, 1):
            param = f"  convolution_param {{\n    num_output: {width}\n    pad: 1\n    kernel_size: 3\n  }}\n"
            name = f"conv{stage}_{index}"
            layers += layer(name, "Convolution", blob, name, param)
            layers += layer(f"relu{stage}_{index}", "ReLU", name, name)
            blob = name
        param = "  pooling_param {\n    pool: MAX\n    kernel_size: 2\n    stride: 2\n  }\n"
        layers += layer(f"pool{stage}", "Pooling", blob, f"pool{stage}", param)
        blob = f"pool{stage}"
    for index, width in ((6, 4096), (7, 4096), (8, 1000)):
        param = f"  inner_product_param {{\n    num_output: {width}\n  }}\n"
        layers += layer(f"fc{index}", "InnerProduct", blob, f"fc{index}", param)
        blob = f"fc{index}"
        if index < 8:
            layers += layer(f"relu{index}", "ReLU", blob, blob)
            layers += layer(f"drop{index}", "Dropout", blob, blob, "  dropout_param { dropout_ratio: 0.5 }\n")
    return layers + layer("prob", "Softmax", "fc8", "prob")


def resnet50() -> str:
    """The deploy file of ResNet-50 as its authors published it: bn and scale in place behind every convolution."""
    text = 'name: "ResNet-50"\ninput: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 224\ninput_dim: 224\n'

    def convolution(name: str, bottom: str, width: int, kernel: int, stride: int = 1, bias: bool = False) -> str:
        suffix = name.removeprefix("res") if name != "conv1" else "_conv1"
        term = "" if bias else "bias_term: false "
        return f"""
layer {{
\tbottom: "{bottom}"
\ttop: "{name}"
\tname: "{name}"
\ttype: "Convolution"
\tconvolution_param {{
\t\tnum_output: {width} kernel_size: {kernel} pad: {kernel // 2} stride: {stride} {term}
\t}}
}}
layer {{
\tbottom: "{name}" top: "{name}" name: "bn{suffix}" type: "BatchNorm"
\tbatch_norm_param {{ use_global_stats: true }}
}}
layer {{ bottom: "{name}" top: "{name}" name: "scale{suffix}" type: "Scale" scale_param {{ bias_term: true }} }}
"""

    def relu(name: str, blob: str) -> str:
        return f'layer {{ bottom: "{blob}" top: "{blob}" name: "{name}" type: "ReLU" }}\n'

    text += convolution("conv1", "data", 64, 7, 2, bias=True) + relu("conv1_relu", "conv1")
    text += 'layer { bottom: "conv1" top: "pool1" name: "pool1" type: "Pooling" '
    text += "pooling_param { kernel_size: 3 stride: 2 pool: MAX } }\n"
    blob = "pool1"
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
        for block in "abcdef"[:blocks]:
            name = f"res{stage}{block}"
            stride = 2 if block == "a" and stage > 2 else 1
            shortcut = blob
            if block == "a":
                shortcut = f"{name}_branch1"
                text += convolution(shortcut, blob, width * 4, 1, stride)
            text += convolution(f"{name}_branch2a", blob, width, 1, stride) + relu(
                f"{name}_branch2a_relu", f"{name}_branch2a"
            )
            text += convolution(f"{name}_branch2b", f"{name}_branch2a", width, 3) + relu(
                f"{name}_branch2b_relu", f"{name}_branch2b"
            )
            text += convolution(f"{name}_branch2c", f"{name}_branch2b", width * 4, 1)
            text += f'layer {{ bottom: "{shortcut}" bottom: "{name}_branch2c" top: "{name}" name: "{name}" '
            text += 'type: "Eltwise" }\n' + relu(f"{name}_relu", name)
            blob = name
    text += f'layer {{ bottom: "{blob}" top: "pool5" name: "pool5" type: "Pooling" '
    text += "pooling_param { kernel_size: 7 stride: 1 pool: AVE } }\n"
    text += 'layer { bottom: "pool5" top: "fc1000" name: "fc1000" type: "InnerProduct" '
    text += "inner_product_param { num_output: 1000 } }\n"
    return text + 'layer { bottom: "fc1000" top: "prob" name: "prob" type: "Softmax" }\n'


def squeezenet() -> str:
    """The deploy file of SqueezeNet 1.0."""
    text = """name: "squeezenet"
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 1 dim: 3 dim: 227 dim: 227 } } }
"""

    def convolution(name: str, bottom: str, width: int, kernel: int, more: str = "") -> str:
        return f"""layer {{
  name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  convolution_param {{ num_output: {width} kernel_size: {kernel} {more} weight_filler {{ type: "xavier" }} }}
}}
"""

    def relu(name: str, blob: str) -> str:
        return f'layer {{ name: "{name}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'

    def pool(name: str, bottom: str) -> str:
        return f"""layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"
  pooling_param {{ pool: MAX kernel_size: 3 stride: 2 }} }}
"""

    text += convolution("conv1", "data", 96, 7, "stride: 2") + relu("relu_conv1", "conv1") + pool("pool1", "conv1")
    blob = "pool1"
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
        fire = f"fire{index}"
        text += convolution(f"{fire}/squeeze1x1", blob, squeeze, 1) + relu(
            f"{fire}/relu_squeeze1x1", f"{fire}/squeeze1x1"
        )
        for kernel, more in ((1, ""), (3, "pad: 1")):
            name = f"expand{kernel}x{kernel}"
            text += convolution(f"{fire}/{name}", f"{fire}/squeeze1x1", squeeze * 4, kernel, more)
            text += relu(f"{fire}/relu_{name}", f"{fire}/{name}")
        text += f'layer {{ name: "{fire}/concat" type: "Concat" bottom: "{fire}/expand1x1" '
        text += f'bottom: "{fire}/expand3x3" top: "{fire}/concat" }}\n'
        blob = f"{fire}/concat"
        if index in (4, 8):
            text += pool(f"pool{index}", blob)
            blob = f"pool{index}"
    text += f'layer {{ name: "drop9" type: "Dropout" bottom: "{blob}" top: "{blob}" '
    text += "dropout_param { dropout_ratio: 0.5 } }\n"
    text += convolution("conv10", blob, 1000, 1, "pad: 1") + relu("relu_conv10", "conv10")
    text += 'layer { name: "pool10" type: "Pooling" bottom: "conv10" top: "pool10" '
    text += "pooling_param { pool: AVE global_pooling: true } }\n"
    return text + 'layer { name: "prob" type: "Softmax" bottom: "pool10" top: "prob" }\n'
