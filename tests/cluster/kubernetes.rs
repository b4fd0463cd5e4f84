//! The manifests of `examples/kubernetes` and the program: `.ci/run` checks them against the schemas of Kubernetes.

use std::path::PathBuf;

use crate::processes::program;

fn manifest(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// What is given to the program on lines such as `- --metrics-port=9090`, by name.
fn flags(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = manifest.lines().map(str::trim);
    let flags = lines.filter_map(|line| line.strip_prefix("- --"));
    flags.map(|flag| flag.split_once('=').unwrap())
}

#[test]
fn the_program_takes_the_flags_of_the_manifests() {
    for command in ["scheduler", "executor"] {
        let help = program(&[], &[command, "--help"]);
        let help = String::from_utf8(help.stdout).unwrap();
        let manifest = manifest(&format!("{command}.yaml"));
        assert!(flags(&manifest).count() >= 5, "{command}");
        for (flag, _) in flags(&manifest) {
            assert!(help.contains(&format!("--{flag} <")), "{command} --{flag}");
        }
        let names = manifest.match_indices("FEATURIZE_").map(|(at, _)| {
            let rest = &manifest[at..];
            &rest[..rest.find(',').unwrap()]
        });
        for name in names.filter(|name| *name != "FEATURIZE_WEIGHTS_DIR") {
            assert!(help.contains(name), "{command} {name}");
        }
    }
}

/// The kubelet asks from outside of the pod, and tasks have the time that is given to them to end.
#[test]
fn probes_are_reached_and_grace_is_given() {
    for command in ["scheduler", "executor"] {
        let manifest = manifest(&format!("{command}.yaml"));
        let value = |name: &str| flags(&manifest).find(|flag| flag.0 == name).unwrap().1;
        assert_eq!(value("metrics-host"), "0.0.0.0");
        let port = value("metrics-port");
        assert!(manifest.contains(&format!("{{name: metrics, containerPort: {port}}}")));
        for path in ["/healthz", "/readyz"] {
            let probe = format!("httpGet: {{path: {path}, port: metrics}}");
            assert!(manifest.contains(&probe), "{command}: {probe}");
        }
        if command == "executor" {
            let grace: u32 = value("grace-period-seconds").parse().unwrap();
            let (_, rest) = manifest
                .split_once("terminationGracePeriodSeconds: ")
                .unwrap();
            let given: u32 = rest.lines().next().unwrap().parse().unwrap();
            assert!(given > grace);
        }
    }
}
