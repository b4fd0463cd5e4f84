//! Arguments of the benchmark.

use super::bench::arguments::{Arguments, Data, GUIDE_IMAGES};

fn parse(line: &str) -> Result<Arguments, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Arguments::parse(&words).map_err(|e| e.to_string())
}

#[test]
fn what_cargo_adds_means_nothing() {
    let plain = parse("--bench").unwrap();
    assert_eq!((plain.rounds, plain.models.len()), (1, 2));
    assert_eq!(parse("--bench --rounds 1 --bench"), Ok(plain));
}

#[test]
fn cargo_test_gives_no_arguments() {
    assert_eq!(parse(""), parse("--bench --test"));
    assert_ne!(parse(""), parse("--bench"));
}

#[test]
fn values_come_after_a_space_or_an_equals_sign() {
    let line = "--images 540 --size=500x375 --latency 5 --model vgg16 --components 123 --json f";
    let arguments = parse(line).unwrap();
    let data = Data::Drawn {
        images: 540,
        width: 500,
        height: 375,
        seed: 0,
    };
    assert_eq!(arguments.setup.data, data);
    assert_eq!(arguments.setup.latency_ms, 5);
    assert_eq!(arguments.models, ["vgg16"]);
    assert_eq!(arguments.setup.components, "123");
    assert_eq!(arguments.json, Some("f".into()));
    let folder = parse("--folder /data").unwrap().setup.data;
    assert_eq!(folder, Data::Folder("/data".into()));
    let square = Data::Drawn {
        images: GUIDE_IMAGES,
        width: 64,
        height: 64,
        seed: 9,
    };
    assert_eq!(parse("--size 64 --seed 9").unwrap().setup.data, square);
}

#[test]
fn nonsense_is_named() {
    for (line, message) in [
        (
            "--images 0",
            "--images: expected a whole number of at least 1, found '0'",
        ),
        (
            "--images many",
            "--images: expected a whole number of at least 1, found 'many'",
        ),
        (
            "--rounds -1",
            "--rounds: expected a whole number of at least 1, found '-1'",
        ),
        (
            "--latency 3.5",
            "--latency: expected a whole number, found '3.5'",
        ),
        (
            "--size 10x",
            "--size: expected pixels, such as 100 or 500x375, each of 1 to 10000, found '10x'",
        ),
        (
            "--size 100000",
            "--size: expected pixels, such as 100 or 500x375, each of 1 to 10000, found '100000'",
        ),
        (
            "--model resnet50",
            "--model: 'resnet50' is none of vgg16 and mobilenet_v2",
        ),
        (
            "--components 1.5",
            "--components: expected a number of components, or a share between 0 and 1, found '1.5'",
        ),
        (
            "--folder d --images 5",
            "--images is of drawn images: not with --folder",
        ),
        (
            "--update-guide --images 5",
            "--update-guide is for 3110 drawn images and all else as it is by default: give --rounds only",
        ),
        (
            "--update-guide --model vgg16",
            "--update-guide is for 3110 drawn images and all else as it is by default: give --rounds only",
        ),
        ("--images 1", "--images: a PCA needs 2 at least"),
        (
            "--images 9 --components 10",
            "--components: 9 images of 1280 features have 9 at most",
        ),
        (
            "--test --rounds 2",
            "--test takes no other argument, found '--rounds'",
        ),
    ] {
        assert_eq!(parse(line), Err(message.to_owned()), "{line}");
    }
    for line in ["--json", "--json --rounds 2", "--compare="] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(" needs a value"), "{error}");
    }
    let error = parse("--imges 5").unwrap_err();
    assert!(error.starts_with("unknown argument '--imges'"), "{error}");
}
