# pip install numpy==2.4.6 scikit-learn==1.9.1 safetensors==0.8.0 threadpoolctl==3.8.0 pyspark==4.0.1
"""pca_fit beside scikit-learn (and Spark ML, where Java and pyspark are installed).

    cargo bench --bench pca --no-run          # prints the path of the benchmark's binary
    python benches/peers/pca.py --bench target/release/deps/pca-… [--rounds 3] [--update-guide]

Standardise, fit and transform the same f32 data in memory, on the same cores, every run a process of
its own so that its peak memory is its own too. Engines take turns; the table has medians. Errors are
against scikit-learn in f64 (covariance_eigh, or full where there are more columns than rows), computed
once and kept with the data. --reference computes only those.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = {"tall": (22688, 1280, 123), "wide": (3110, 25088, 100)}
# "f64": given the same numbers in double precision, in which pca_fit computes.
SOLVERS = {"tall": ["covariance_eigh", "covariance_eigh f64", "randomized", "full"], "wide": ["randomized", "full"]}
# Neighbouring eigenvalues closer than this (relatively) mix freely: compared as one subspace.
NEAR_TIE = 1e-3
MARKER, END = "<!-- pca-bench: made by python benches/peers/pca.py --update-guide -->", "<!-- end -->"


def peak_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6


def path(case, data, ending="npy"):
    n, d, _ = CASES[case]
    return pathlib.Path(data) / f"{n}x{d}.{ending}"


def run_sklearn(case, solver, data, model):
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    x, k = np.load(path(case, data)), CASES[case][2]
    solver, _, precision = solver.partition(" ")
    if precision == "f64":
        x = x.astype("f8")
    start = time.perf_counter()
    scaler = StandardScaler()
    z = scaler.fit_transform(x)
    pca = PCA(k, svd_solver=solver, random_state=0).fit(z)
    fit = time.perf_counter() - start
    pca.transform(z)
    total = time.perf_counter() - start
    np.savez(model, variance=pca.explained_variance_, components=pca.components_)
    return {"fit_seconds": fit, "transform_seconds": total - fit, "peak_mb": peak_mb()}


def run_spark(case, data, model):
    """Spark ML in local mode; its JVM's peak, not Python's."""
    import numpy as np
    from pyspark.ml.feature import PCA, StandardScaler
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession

    cores = os.cpu_count()
    builder = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", "8g")
    builder = builder.config("spark.driver.maxResultSize", "4g").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    frame = spark.read.parquet(str(path(case, data, "parquet")))
    frame = frame.select(array_to_vector("features").alias("x")).cache()
    frame.count()
    start = time.perf_counter()
    scaler = StandardScaler(inputCol="x", outputCol="z", withMean=True).fit(frame)
    scaled = scaler.transform(frame)
    pca = PCA(k=CASES[case][2], inputCol="z", outputCol="p").fit(scaled)
    fit = time.perf_counter() - start
    pca.transform(scaled).select("p").write.format("noop").mode("overwrite").save()
    total = time.perf_counter() - start
    ratio = np.array(pca.explainedVariance.toArray())
    # Spark divides by n - 1 before the PCA: variances of columns are 1, their sum is d.
    n, d, _ = CASES[case]
    np.savez(model, variance=ratio * d * n / (n - 1), components=pca.pc.toArray().T)
    jvm = spark.sparkContext._gateway.proc.pid
    peak = 0
    for line in open(f"/proc/{jvm}/status"):
        if line.startswith("VmHWM"):
            peak = int(line.split()[1]) * 1024 / 1e6
    return {"fit_seconds": fit, "transform_seconds": total - fit, "peak_mb": peak}


def run_ours(case, bench, data, model):
    threads = str(os.cpu_count())
    command = [bench, "--run", f"case:{case}", "--threads", threads, "--data", data, "--model", model]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"RAYON_NUM_THREADS": threads}
    )
    return json.loads(output.stdout)


def child(arguments, engine, case, model):
    """One run of one engine in a process of its own."""
    if engine == "ours":
        return run_ours(case, arguments.bench, arguments.data, model)
    command = [sys.executable, __file__, "--data", arguments.data, "--child", engine, case, model]
    output = subprocess.run(command, capture_output=True, text=True)
    if output.returncode != 0:
        return {"error": (output.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(output.stdout.splitlines()[-1])


def reference(case, data):
    """Variances and components in f64, a few more than are compared."""
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    file = path(case, data, "reference.npz")
    if not file.exists():
        z = StandardScaler().fit_transform(np.load(path(case, data)).astype("f8"))
        n, d, k = CASES[case]
        solver = "full" if d > n else "covariance_eigh"
        pca = PCA(min(n, d), svd_solver=solver).fit(z)
        keep = slice(0, k + 20)
        np.savez(file, variance=pca.explained_variance_[keep], components=pca.components_[keep])
    return np.load(file)


def load(engine, model):
    import numpy as np

    if engine != "ours":
        found = np.load(model)
        return found["variance"], found["components"]
    from safetensors.numpy import load_file

    tensors = load_file(model)
    return tensors["explained_variance"], tensors["components"]


def accuracy(engine, case, model, data):
    """Worst relative error of a variance, and worst sine of an angle between subspaces."""
    import numpy as np

    expected = reference(case, data)
    variance, components = load(engine, model)
    k = len(variance)
    error = np.max(np.abs(variance / expected["variance"][:k] - 1))
    values, vectors = expected["variance"], expected["components"]
    # Groups of near ties; one that reaches beyond k cannot be compared.
    gaps = (values[:-1] - values[1:]) / values[:-1] > NEAR_TIE
    bounds = [0] + [i + 1 for i in range(len(gaps)) if gaps[i]]
    sine = 0.0
    for a, b in zip(bounds, bounds[1:]):
        if b > k:
            break
        theirs, ours = vectors[a:b].astype("f8"), components[a:b].astype("f8")
        outside = ours - ours @ theirs.T @ theirs
        sine = max(sine, float(np.linalg.norm(outside, 2)))
    return error, sine


def instruction_set():
    """What this machine offers; both engines choose for themselves."""
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    return next((name for flag, name in [("avx512f", "AVX-512"), ("avx2", "AVX2")] if flag in flags), "neither AVX-512 nor AVX2")


def table(results, errors, arguments):
    lines = [
        "| rows × columns, k | engine | fit s | transform s | total s | ours ÷ it | peak MB | variance error | largest angle (sine) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in arguments.cases:
        n, d, k = CASES[case]
        median = lambda engine, key: statistics.median(r[key] for r in results[case, engine])
        total = lambda engine: statistics.median(
            r["fit_seconds"] + r["transform_seconds"] for r in results[case, engine]
        )
        for engine in [e for c, e in results if c == case]:
            runs = results[case, engine]
            name = {"ours": "**pca_fit**", "spark": "Spark ML"}.get(engine, f"scikit-learn {engine}")
            if "error" in runs[0]:
                lines.append(f"| {n} × {d}, {k} | {name} | – | – | – | – | – | – | {runs[0]['error'][:80]} |")
                continue
            ratio = "" if engine == "ours" else f"{total('ours') / total(engine):.2f}"
            error, sine = errors[case, engine]
            lines.append(
                f"| {n} × {d}, {k} | {name} | {median(engine, 'fit_seconds'):.2f} "
                f"| {median(engine, 'transform_seconds'):.2f} | {total(engine):.2f} | {ratio} "
                f"| {median(engine, 'peak_mb'):.0f} | {error:.0e} | {sine:.0e} |"
            )
    import sklearn

    lines.append("")
    lines.append(
        f"Medians of {arguments.rounds} rounds (full{' and Spark ML' * arguments.slow}: one), {os.cpu_count()} cores with {instruction_set()}, f32 data in memory (peaks include it), "
        f"scikit-learn {sklearn.__version__}; errors against f64 covariance_eigh (tall) and full (wide)."
    )
    return "\n".join(lines) + "\n"


def update_guide(text):
    guide = ROOT / "src/guide/performance.md"
    content = guide.read_text()
    if MARKER not in content:
        sys.exit(f"src/guide/performance.md has no line {MARKER}")
    before, rest = content.split(MARKER, 1)
    _, after = rest.split(END, 1)
    guide.write_text(f"{before}{MARKER}\n{text}{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="binary of `cargo bench --bench pca`")
    parser.add_argument("--data", default=str(pathlib.Path(tempfile.gettempdir()) / "featurize-pca-bench"))
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="full on wide data too, and Spark ML")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--update-guide", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        engine, case, model = arguments.child
        run = run_spark if engine == "spark" else lambda c, d, m: run_sklearn(c, engine, d, m)
        print(json.dumps(run(case, arguments.data, model)))
        return
    if not arguments.reference and not arguments.bench:
        parser.error("--bench is needed")
    for case in arguments.cases:
        if not path(case, arguments.data).exists():
            subprocess.run([arguments.bench, "--run", f"data:{case}", "--data", arguments.data], check=True)
        reference(case, arguments.data)
    if arguments.reference:
        return

    results, errors = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for round_ in range(arguments.rounds):
            for case in arguments.cases:
                engines = ["ours"] + SOLVERS[case]
                if arguments.slow and case == "tall":
                    engines.append("spark")
                for engine in engines:
                    slow = engine == "spark" or (engine == "full" and case == "wide")
                    if (slow and not arguments.slow) or (round_ > 0 and (slow or engine == "full")):
                        continue
                    if engine == "spark" and not shutil.which("java"):
                        results[case, engine] = [{"error": "Java is missing"}]
                        continue
                    if engine == "spark" and not path(case, arguments.data, "parquet").exists():
                        subprocess.run([arguments.bench, "--run", "data:sql", "--data", arguments.data], check=True)
                    model = str(pathlib.Path(scratch) / f"{case}-{engine}.npz")
                    run = child(arguments, engine, case, model)
                    results.setdefault((case, engine), []).append(run)
                    print(case, engine, json.dumps(run), file=sys.stderr, flush=True)
                    if "error" not in run and (case, engine) not in errors:
                        errors[case, engine] = accuracy(engine, case, model, arguments.data)
    text = table(results, errors, arguments)
    print(text)
    if arguments.update_guide:
        update_guide(text)


if __name__ == "__main__":
    main()
