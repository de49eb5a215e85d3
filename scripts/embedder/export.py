"""Turn all-MiniLM-L6-v2's weights into an ONNX model, quantised or not, and check one.

export.py build-int8 WHEEL DIR    model.onnx and the tokenizer's files, from the wheel with the safetensors
export.py build-float WHEEL DIR   the same without quantising
export.py library WHEEL DIR libonnxruntime.so from the onnxruntime wheel
export.py check DIR         two questions of the same meaning must lie as close together as is known of this model
"""

import json
import math
import pathlib
import struct
import sys
import tempfile
import zipfile

TOKENIZER = ["tokenizer.json", "config.json", "special_tokens_map.json", "tokenizer_config.json"]
# The same graph must load in old and new runtimes alike.
OPSET, IR = 17, 8
# Known cosine: 0.860 in fp32, 0.867 in int8; other machines' int8 kernels differ in the third digit.
PAIR = ("How do I reset my password?", "How can I change my password?")
LEAST, MOST = 0.84, 0.89


def build_float(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        root = next(n for n in archive.namelist() if n.endswith("/model.safetensors"))[: -len("model.safetensors")]
        weights = safetensors(archive.read(root + "model.safetensors"))
        for name in TOKENIZER:
            (folder / name).write_bytes(archive.read(root + name))
    config = json.loads((folder / "config.json").read_text())
    (folder / "model.onnx").write_bytes(bert(weights, config).SerializeToString())


def build_int8(wheel, folder):
    from onnxruntime.quantization import QuantType, quantize_dynamic

    build_float(wheel, folder)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        full = (folder / "model.onnx").rename(pathlib.Path(temporary) / "fp32.onnx")
        quantize_dynamic(str(full), str(folder / "model.onnx"), weight_type=QuantType.QInt8)


def safetensors(blob):
    """Name -> float array. The format: 8 bytes of header length, a JSON header, raw little-endian data."""
    import numpy as np

    (length,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + length])
    data = memoryview(blob)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


def bert(weights, config):
    """A BERT encoder from token ids to `last_hidden_state`, as an ONNX model."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    size = hidden // heads
    nodes, constants = [], []

    def const(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(kind, *inputs, name, **attributes):
        nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def dense(x, prefix, name):
        product = op("MatMul", x, const(prefix + ".weight", weights[prefix + ".weight"].T), name=name + ".matmul")
        return op("Add", product, const(prefix + ".bias", weights[prefix + ".bias"]), name=name)

    def norm(x, prefix, name):
        scale, shift = (const(f"{prefix}.{part}", weights[f"{prefix}.{part}"]) for part in ("weight", "bias"))
        return op("LayerNormalization", x, scale, shift, name=name, axis=-1, epsilon=config["layer_norm_eps"])

    zero, one = const("zero", np.array([0], "<i8")), const("one", np.array([1], "<i8"))
    two = const("two", np.array([2], "<i8"))
    split = const("split", np.array([0, 0, heads, size], "<i8"))
    join = const("join", np.array([0, 0, hidden], "<i8"))
    scale = const("scale", np.array(1 / math.sqrt(size), "<f4"))
    half, unit = const("half", np.array(0.5, "<f4")), const("unit", np.array(1, "<f4"))
    root = const("root", np.array(1 / math.sqrt(2), "<f4"))

    # Padding is pushed far below every score that can occur, so that softmax gives it nothing.
    mask = op("Cast", "attention_mask", name="mask.float", to=TensorProto.FLOAT)
    mask = op("Mul", op("Sub", unit, mask, name="mask.off"), const("far", np.array(-1e4, "<f4")), name="mask.score")
    mask = op("Unsqueeze", mask, const("axes", np.array([1, 2], "<i8")), name="mask")

    length = op("Slice", op("Shape", "input_ids", name="shape"), one, two, name="length")
    e = "embeddings."
    words = op("Gather", const(e + "words", weights[e + "word_embeddings.weight"]), "input_ids", name="words")
    types = op("Gather", const(e + "types", weights[e + "token_type_embeddings.weight"]), "token_type_ids", name="types")
    places = const(e + "places", weights[e + "position_embeddings.weight"])
    places = op("Slice", places, zero, length, zero, name="places")
    x = op("Add", op("Add", words, types, name="words.types"), places, name="embedded")
    x = norm(x, e + "LayerNorm", "embeddings")

    for layer in range(config["num_hidden_layers"]):
        p, n = f"encoder.layer.{layer}.", f"layer{layer}."

        def head(part, order):
            y = op("Reshape", dense(x, f"{p}attention.self.{part}", n + part), split, name=f"{n}{part}.split")
            return op("Transpose", y, name=f"{n}{part}.heads", perm=order)

        q, k, v = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
        scores = op("Mul", op("MatMul", q, k, name=n + "qk"), scale, name=n + "scores")
        shares = op("Softmax", op("Add", scores, mask, name=n + "masked"), name=n + "shares", axis=-1)
        mixed = op("Transpose", op("MatMul", shares, v, name=n + "mix"), name=n + "mixed", perm=[0, 2, 1, 3])
        y = dense(op("Reshape", mixed, join, name=n + "joined"), p + "attention.output.dense", n + "attended")
        x = norm(op("Add", y, x, name=n + "attended.sum"), p + "attention.output.LayerNorm", n + "attention")

        y = dense(x, p + "intermediate.dense", n + "wide")
        erf = op("Erf", op("Mul", y, root, name=n + "gelu.in"), name=n + "gelu.erf")
        gate = op("Add", erf, unit, name=n + "gelu.gate")
        y = op("Mul", op("Mul", y, gate, name=n + "gelu.gated"), half, name=n + "gelu")
        y = dense(y, p + "output.dense", n + "narrow")
        last = layer + 1 == config["num_hidden_layers"]
        out = "last_hidden_state" if last else n + "out"
        x = norm(op("Add", y, x, name=n + "sum"), p + "output.LayerNorm", out)

    ids = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [helper.make_tensor_value_info(i, TensorProto.INT64, ["batch", "tokens"]) for i in ids]
    output = helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "tokens", hidden])
    graph = helper.make_graph(nodes, "all-MiniLM-L6-v2", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model)
    return model


def library(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if "/capi/libonnxruntime.so" in n)
        (folder / "libonnxruntime.so").write_bytes(archive.read(name))


def check(folder):
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(list(PAIR))
    mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
    feed = {
        "input_ids": np.array([e.ids for e in encoded], dtype=np.int64),
        "attention_mask": mask,
        "token_type_ids": np.array([e.type_ids for e in encoded], dtype=np.int64),
    }
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    states = session.run(["last_hidden_state"], feed)[0]
    weight = mask[:, :, None].astype(np.float32)
    mean = (states * weight).sum(1) / weight.sum(1)
    a, b = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    cosine = float(a @ b)
    print(f"  cosine of two like questions: {cosine:.3f}", file=sys.stderr)
    if not LEAST <= cosine <= MOST:
        sys.exit(f"the model is not right: the cosine {cosine:.3f} is outside {LEAST}..{MOST}")


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    {"build-int8": build_int8, "build-float": build_float, "library": library, "check": check}[command](*map(pathlib.Path, paths))
