#!/usr/bin/env python3
"""Images a second of convolutional networks without their tops: this project's kernels beside other engines.

    python3 -m venv venv && venv/bin/pip install \
        numpy==2.4.6 ncnn==1.0.20261020 pnnx==20261020 onnx==1.23.2 onnxruntime==1.31.1 \
        torch==2.15.0 tensorflow-cpu==2.21.0 openvino==2026.4.1
    cargo bench --bench inference --no-run
    venv/bin/python benches/peers/inference.py [--rounds N] [--threads N,N] [--networks a,b]
        [--engines a,b] [--quick] [--cpu] [--json FILE] [--update-guide]

Every engine runs in a process of its own, gets the same random weights and images in f32, and
computes when it is told to. Engines take turns in each round, so that a noisy machine disturbs all
alike; figures are medians over the rounds. Before anything is timed, the features of each engine
are compared with ours: one that computes something else (in bf16, say) is listed as wrong.
The layers are those of `benches/networks`, as our own process describes them.
Each takes its images as it likes them (NCHW or NHWC); converting them is not timed.

Configurations, the best that the engines' own documents name:
  ncnn          converted by pnnx, Winograd and packed layouts (its defaults), no fp16/bf16;
                it takes one image at a time
  onnxruntime   all graph optimisations, intra-op threads, sequential execution
  torch         channels-last, traced, frozen and optimised for inference (oneDNN)
  tensorflow    NHWC, graph with frozen weights, oneDNN
  openvino      f32, latency hint for one image, one stream of all threads for a batch

--cpu counts images per second of processor time: the right measure, with --threads 1, on a machine that
is busy otherwise. --update-guide writes the table between its two markers in src/guide/performance.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENGINES = ["ncnn", "onnxruntime", "torch", "tensorflow", "openvino"]
TITLES = {
    "ours": "datafusion-featurize",
    "ncnn": "ncnn",
    "onnxruntime": "ONNX Runtime",
    "torch": "PyTorch",
    "tensorflow": "TensorFlow",
    "openvino": "OpenVINO",
}
NETWORKS = {
    "vgg16": "VGG16",
    "mobilenet_v2": "MobileNetV2",
    "resnet50": "ResNet50",
    "inception_v3": "InceptionV3",
}
# How many times faster than the fastest of these.
FASTEST = ["ncnn", "onnxruntime", "openvino"]
GOALS = {
    "vgg16": (["ncnn"], 1.6),
    "mobilenet_v2": (["onnxruntime"], 1.35),
    "resnet50": (FASTEST, 1.3),
    "inception_v3": (FASTEST, 1.3),
}
BATCHES = [1, 8]
# Images of a turn: about one second on two cores.
TURN = {"vgg16": 8, "mobilenet_v2": 128, "resnet50": 16, "inception_v3": 16}
# Relative L2 distance from our features: rounding in f32 gives 1e-6 to 1e-5, bf16 1e-2.
TOLERANCE = 1e-3


# The networks. A layer has a kind, the places of the layers that it reads (0 are the images), and for a
# convolution its kernel, (height, width, input channel of the group, output channel), and bias.


def make_weights(network):
    """He-normal kernels and small biases, in the order of the layers."""
    import numpy as np

    rng, numbers = np.random.default_rng(7), []
    for layer in network["layers"]:
        if layer["kind"] == "conv":
            inputs, outputs = layer["channels"]
            fan_in = layer["size"][0] * layer["size"][1] * inputs // layer["groups"]
            numbers.append(rng.normal(0, (2 / fan_in) ** 0.5, fan_in * outputs))
            numbers.append(rng.normal(0, 0.1, outputs))
    return np.concatenate(numbers).astype("<f4")


def make_images(network):
    """Like photographs after the network's preprocessing."""
    import numpy as np

    shape = (max(BATCHES), network["side"], network["side"], 3)
    return np.random.default_rng(8).normal(0, network["scale"], shape).astype("<f4")


def weighted(network, path):
    """The layers with 'kernel' and 'bias' from a file."""
    import numpy as np

    numbers, at, out = np.fromfile(path, "<f4"), 0, []
    for layer in network["layers"]:
        if layer["kind"] == "conv":
            inputs, outputs = layer["channels"]
            shape = (*layer["size"], inputs // layer["groups"], outputs)
            length = int(np.prod(shape))
            kernel = numbers[at : at + length].reshape(shape)
            bias = numbers[at + length : at + length + outputs]
            at += length + outputs
            layer = dict(layer, kernel=kernel, bias=bias)
        out.append(layer)
    assert at == len(numbers)
    return out


# The engines. Each loads a network for a batch size and gives a function from images to features.


def torch_module(network, path):
    import torch
    from torch import nn

    activations = {"Relu": nn.functional.relu, "Relu6": nn.functional.relu6}

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = weighted(network, path)
            for index, layer in enumerate(self.layers):
                if layer["kind"] == "conv":
                    shape = (layer["size"], layer["stride"], layer["padding"])
                    conv = nn.Conv2d(*layer["channels"], *shape, groups=layer["groups"])
                    conv.weight.data = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
                    conv.bias.data = torch.from_numpy(layer["bias"].copy())
                    self.add_module(f"conv{index}", conv)

        def forward(self, x):
            maps = [x]
            for index, layer in enumerate(self.layers):
                inputs = [maps[place] for place in layer["inputs"]]
                shape = (layer.get("size"), layer.get("stride"), layer.get("padding"))
                if layer["kind"] == "conv":
                    x = getattr(self, f"conv{index}")(*inputs)
                elif layer["kind"] == "max":
                    x = nn.functional.max_pool2d(*inputs, *shape)
                elif layer["kind"] == "mean":
                    x = nn.functional.avg_pool2d(*inputs, *shape)
                elif layer["kind"] == "add":
                    x = inputs[0] + inputs[1]
                else:
                    x = torch.cat(inputs, 1)
                maps.append(activations.get(layer.get("activation"), lambda x: x)(x))
            return nn.functional.adaptive_avg_pool2d(maps[-1], 1) if network["average"] else maps[-1]

    return Network().eval()


def onnx_file(network, path, folder):
    """The network as an ONNX file for any batch size."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    import numpy as np

    nodes, maps = [], ["images"]
    constants = [numpy_helper.from_array(np.float32(value), name) for name, value in [("zero", 0), ("six", 6)]]

    def node(kind, inputs, **attributes):
        name = f"{kind.lower()}{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    for index, layer in enumerate(weighted(network, path)):
        inputs, window = [maps[place] for place in layer["inputs"]], {}
        if "size" in layer:
            window = dict(kernel_shape=layer["size"], strides=[layer["stride"]] * 2, pads=layer["padding"] * 2)
        if layer["kind"] == "conv":
            kernel = np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1))
            constants.append(numpy_helper.from_array(kernel, f"kernel{index}"))
            constants.append(numpy_helper.from_array(layer["bias"].copy(), f"bias{index}"))
            x = node("Conv", [*inputs, f"kernel{index}", f"bias{index}"], group=layer["groups"], **window)
        elif layer["kind"] == "mean":
            x = node("AveragePool", inputs, count_include_pad=1, **window)
        elif layer["kind"] == "concat":
            x = node("Concat", inputs, axis=1)
        else:
            x = node({"max": "MaxPool", "add": "Add"}[layer["kind"]], inputs, **window)
        if layer.get("activation") == "Relu":
            x = node("Relu", [x])
        elif layer.get("activation") == "Relu6":
            x = node("Clip", [x, "zero", "six"])
        maps.append(x)
    nodes.append(helper.make_node("GlobalAveragePool" if network["average"] else "Identity", [maps[-1]], ["features"]))
    result = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", None, None, None])
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, network["side"], network["side"]])
    graph = helper.make_graph(nodes, "network", [images], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    file = str(pathlib.Path(folder) / "network.onnx")
    onnx.save(model, file)
    return file


def nchw(images):
    import numpy as np

    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def load_ncnn(network, path, folder, threads, batch):
    import ncnn
    import numpy as np
    import pnnx
    import torch

    if batch != 1:
        return None, "", None
    os.chdir(folder)
    example = torch.rand(1, 3, network["side"], network["side"])
    pnnx.export(torch_module(network, path), "network.pt", example, fp16=False)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param("network.ncnn.param")
    net.load_model("network.ncnn.bin")

    def prepare(images):
        return [ncnn.Mat(image).clone() for image in nchw(images)]  # A Mat only borrows NumPy's memory.

    def run(images):
        features = []
        for image in images:
            extractor = net.create_extractor()
            extractor.input("in0", image)
            code, out = extractor.extract("out0")
            assert code == 0
            features.append(np.array(out))
        return features

    def features(out):
        out = np.stack(out)
        return out if out.ndim < 4 else out.transpose(0, 2, 3, 1)

    return run, f"{ncnn.__version__}", (prepare, features)


def load_onnxruntime(network, path, folder, threads, batch):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(
        onnx_file(network, path, folder), options, providers=["CPUExecutionProvider"]
    )

    def run(images):
        return session.run(None, {"images": images})[0]

    return run, onnxruntime.__version__, (nchw, lambda out: out.transpose(0, 2, 3, 1))


def load_torch(network, path, folder, threads, batch):
    import torch

    torch.set_num_threads(threads)
    module = torch_module(network, path).to(memory_format=torch.channels_last)

    def prepare(images):
        return torch.from_numpy(nchw(images)).to(memory_format=torch.channels_last)

    example = torch.zeros(batch, 3, network["side"], network["side"]).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(module, example))
        traced = torch.jit.optimize_for_inference(traced)

    def run(images):
        with torch.inference_mode():
            return traced(images)

    return run, torch.__version__, (prepare, lambda out: out.numpy().transpose(0, 2, 3, 1))


def load_tensorflow(network, path, folder, threads, batch):
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    layers = weighted(network, path)
    activations = {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6}

    def window(x, layer, fill=0):  # SAME would pad one side only; depthwise takes no explicit padding.
        rows, columns = layer["padding"]
        return tf.pad(x, [[0, 0], [rows] * 2, [columns] * 2, [0, 0]], constant_values=fill)

    @tf.function
    def network_function(x):
        maps = [x]
        for layer in layers:
            inputs, size, stride = [maps[place] for place in layer["inputs"]], layer.get("size"), layer.get("stride")
            if layer["kind"] == "conv" and layer["groups"] > 1:
                kernel = tf.constant(layer["kernel"].transpose(0, 1, 3, 2))
                x = tf.nn.depthwise_conv2d(window(*inputs, layer), kernel, [1, stride, stride, 1], "VALID")
            elif layer["kind"] == "conv":
                rows, columns = layer["padding"]
                padding = [[0, 0], [rows] * 2, [columns] * 2, [0, 0]]
                x = tf.nn.conv2d(*inputs, tf.constant(layer["kernel"]), stride, padding)
            elif layer["kind"] == "max":
                x = tf.nn.max_pool2d(window(*inputs, layer, float("-inf")), size, stride, "VALID")
            elif layer["kind"] == "mean":
                x = tf.nn.avg_pool2d(window(*inputs, layer), size, stride, "VALID")
            elif layer["kind"] == "add":
                x = inputs[0] + inputs[1]
            else:
                x = tf.concat(inputs, -1)
            x = tf.nn.bias_add(x, layer["bias"]) if layer["kind"] == "conv" else x
            maps.append(activations.get(layer.get("activation"), tf.identity)(x))
        return tf.reduce_mean(maps[-1], [1, 2], keepdims=True) if network["average"] else maps[-1]

    concrete = network_function.get_concrete_function(tf.TensorSpec([batch, network["side"], network["side"], 3], tf.float32))
    frozen = convert_variables_to_constants_v2(concrete)

    def run(images):
        return frozen(images)[0].numpy()

    return run, tf.__version__, (tf.constant, lambda out: out)


def load_openvino(network, path, folder, threads, batch):
    import openvino

    core = openvino.Core()
    model = core.read_model(onnx_file(network, path, folder))
    model.reshape([batch, 3, network["side"], network["side"]])
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
        },
    )
    request = compiled.create_infer_request()

    def run(images):
        return next(iter(request.infer({0: images}, share_inputs=True, share_outputs=True).values()))

    return run, openvino.__version__.split("-")[0], (nchw, lambda out: out.transpose(0, 2, 3, 1))


def worker(engine, folder):
    """Loads and runs on request, as `benches/inference/serve.rs` does."""
    import numpy as np

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Engines print; the answers are not theirs to mix with.
    loaded = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "load" in request:
                name, network = request["load"], request["network"]
                images = np.fromfile(request["images"], "<f4").reshape(-1, network["side"], network["side"], 3)
                for batch in BATCHES:
                    run, version, ways = globals()[f"load_{engine}"](
                        network, request["weights"], folder, request["threads"], batch
                    )
                    if run is None:
                        continue
                    prepare, features = ways
                    loaded[name, batch] = (run, prepare(images[:batch]))
                    out = np.asarray(features(run(loaded[name, batch][1])), "<f4")
                    if batch == 1:
                        answer = dict(version=version, batches=[])
                        out.tofile(request["output"])
                    answer["batches"].append(batch)
            else:
                run, images = loaded[request["run"], request["batch"]]
                start, cpu = time.perf_counter(), time.process_time()
                for _ in range(request["images"] // request["batch"]):
                    run(images)
                answer = dict(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu)
        except Exception as error:  # Reported in the table, and the others go on.
            answer = dict(error=f"{type(error).__name__}: {error}")
        print(json.dumps(answer), file=answers, flush=True)


class Engine:
    """A worker process, ours or a peer's."""

    def __init__(self, name, threads, folder, binary):
        self.name, self.log = name, open(pathlib.Path(folder) / f"{name}.log", "w")
        command = [binary, "--serve"] if name == "ours" else [sys.executable, __file__, "--worker", name, folder]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment
        )

    def ask(self, **request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
            return json.loads(answer) if answer else dict(error="it ended")
        except (BrokenPipeError, json.JSONDecodeError) as error:
            return dict(error=str(error))

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


def measure(network, threads, arguments, folder, binary):
    """Figures of every engine: {engine: {version, error, distance, rates: {batch: [...]}}}."""
    import numpy as np

    files = {name: str(pathlib.Path(folder) / f"{network}.{name}") for name in ["weights", "images"]}
    own = Engine("ours", threads, folder, binary)
    layers = own.ask(describe=network)
    make_weights(layers).tofile(files["weights"])
    make_images(layers).tofile(files["images"])
    engines, figures, ours = {}, {}, None
    for name in ["ours"] + arguments.engines:
        engine = own if name == "ours" else Engine(name, threads, folder, binary)
        output = str(pathlib.Path(folder) / f"{name}.features")
        answer = engine.ask(load=network, network=layers, threads=threads, output=output, **files)
        figure = dict(version=answer.get("version"), error=answer.get("error"), rates={})
        if figure["error"] is None:
            features = np.fromfile(output, "<f4").astype("f8")
            if name == "ours":
                ours = features[: len(features) // max(BATCHES)]
                answer["batches"] = BATCHES
            if features[: len(ours)].shape != ours.shape:
                figure["error"] = f"{len(features)} features instead of {len(ours)}"
            else:
                figure["distance"] = float(np.linalg.norm(features[: len(ours)] - ours) / np.linalg.norm(ours))
                if figure["distance"] > TOLERANCE:
                    figure["error"] = f"computes something else: distance {figure['distance']:.1e}"
        figures[name] = figure
        if figure["error"]:
            print(f"  {name}: {figure['error']}", file=sys.stderr)
            if name == "ours":
                sys.exit(1)
            engine.close()
        else:
            engines[name] = engine
            figure["rates"] = {batch: [] for batch in answer["batches"]}
    images = max(BATCHES) if arguments.quick else TURN[network]
    for round_ in range(arguments.rounds + 1):
        for name, engine in engines.items():
            for batch in figures[name]["rates"]:
                # Threads of the engine before spin for a while; they are none of this one's business.
                time.sleep(0.05)
                count = images if threads > 1 else max(batch, images // 2)
                count = batch if round_ == 0 else count
                answer = engine.ask(run=network, batch=batch, images=count)
                if "seconds" in answer and round_ > 0:  # The first round warms up.
                    time_ = answer["cpu" if arguments.cpu else "seconds"]
                    figures[name]["rates"][batch].append(count / time_)
                elif "error" in answer:
                    figures[name]["error"] = answer["error"]
    for engine in engines.values():
        engine.close()
    for figure in figures.values():
        figure["medians"] = {b: statistics.median(rates) for b, rates in figure["rates"].items() if rates}
    return figures


def machine():
    model = platform.processor() or platform.machine()
    for line in open("/proc/cpuinfo") if os.path.exists("/proc/cpuinfo") else []:
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    flags = open("/proc/cpuinfo").read() if os.path.exists("/proc/cpuinfo") else ""
    vectors = next((name for name in ["avx512f", "avx2"] if f" {name} " in flags), "")
    return f"{model}{', ' + vectors.upper().rstrip('F') if vectors else ''}, {len(os.sched_getaffinity(0))} cores"


def best(figure):
    return max(figure["medians"].values(), default=None)


def table(results, arguments):
    """The Markdown table, and a line for each goal."""
    columns = [(network, threads) for network in arguments.networks for threads in arguments.threads]

    def plural(threads):
        return f"{threads} thread{'s' if threads > 1 else ''}"

    heads = [f"{NETWORKS[network]}, {plural(threads)}" for network, threads in columns]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(columns)]
    for name in ["ours"] + arguments.engines:
        cells, version = [], None
        for column in columns:
            figure = results[column][name]
            version = version or figure["version"]
            if figure["error"] or not figure["medians"]:
                cells.append("wrong result" if "computes" in (figure["error"] or "") else "not available")
                continue
            rates = " / ".join(
                f"{figure['medians'][batch]:.3g}" if batch in figure["medians"] else "–" for batch in BATCHES
            )
            ratio = best(results[column]["ours"]) / best(figure)
            cells.append(f"**{rates}**" if name == "ours" else f"{rates} ({ratio:.2f}×)")
        title = f"**{TITLES[name]}**" if name == "ours" else f"{TITLES[name]} {version or ''}".strip()
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    goals = []
    for network, threads in columns:
        peers, goal = GOALS[network]
        rates = {best(results[network, threads][peer]) or 0: peer for peer in peers if peer in arguments.engines}
        if threads == max(arguments.threads) and max(rates, default=0) > 0:
            ratio = best(results[network, threads]["ours"]) / max(rates)
            goals.append(f"{NETWORKS[network]}: {ratio:.2f} × {TITLES[rates[max(rates)]]}, goal {goal}")
    return "\n".join(lines), goals


def text(results, arguments):
    rows, goals = table(results, arguments)
    date = datetime.date.today().isoformat()
    note = (
        f"Images per second {'of processor time ' if arguments.cpu else ''}in f32, one image at a time / batches of {max(BATCHES)}; in brackets, how many times "
        f"faster ours is, best against best. Medians of {arguments.rounds} interleaved rounds on "
        f"{machine()}, {date}, by `python benches/peers/inference.py --update-guide`."
    )
    return f"{rows}\n\n{note}", goals


def update_guide(text):
    path = ROOT / "src/guide/performance.md"
    guide = path.read_text()
    begin = "<!-- inference: made by python benches/peers/inference.py --update-guide -->"
    end = "<!-- end -->"
    if begin not in guide:
        sys.exit(f"src/guide/performance.md lacks the marker {begin}")
    head, rest = guide.split(begin, 1)
    _, tail = rest.split(end, 1)
    path.write_text(f"{head}{begin}\n{text}\n{end}{tail}")


def build():
    """The bench binary, built if need be."""
    command = ["cargo", "bench", "--bench", "inference", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    messages = (json.loads(line) for line in lines if line.startswith("{"))
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "inference")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--worker":
        return worker(sys.argv[2], sys.argv[3])
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def words(allowed):
        def parse(value):
            unknown = set(value.split(",")) - set(allowed)
            if unknown:
                raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; expected {', '.join(allowed)}")
            return value.split(",")

        return parse

    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=lambda v: [int(x) for x in v.split(",")], default=sorted({1, cores}))
    parser.add_argument("--networks", type=words(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--engines", type=words(ENGINES), default=ENGINES)
    parser.add_argument("--quick", action="store_true", help="eight images a turn: to see that it works")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of elapsed time")
    parser.add_argument("--binary", help="the inference bench, if it is built already")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--update-guide", action="store_true")
    arguments = parser.parse_args()
    binary = arguments.binary or build()
    results = {}
    for network in arguments.networks:
        for threads in arguments.threads:
            print(f"{network}, {threads} threads", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                results[network, threads] = measure(network, threads, arguments, folder, binary)
    output, goals = text(results, arguments)
    print(output, *goals, sep="\n")
    for (network, threads), figures in results.items():
        for name, figure in figures.items():
            if figure["error"]:
                print(f"{NETWORKS[network]}, {threads} threads, {TITLES[name]}: {figure['error']}")
    if arguments.json:
        dump = [dict(network=n, threads=t, engines=figures) for (n, t), figures in results.items()]
        arguments.json.write_text(json.dumps(dict(machine=machine(), results=dump), indent=1))
    if arguments.update_guide:
        update_guide(output)


if __name__ == "__main__":
    main()
