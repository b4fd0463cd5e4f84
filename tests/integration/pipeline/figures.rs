//! Figures of the benchmark, in a file, as a table and beside earlier ones.

use super::bench::arguments::{Data, Setup};
use super::bench::figures::{Job, Report, Stage};
use super::bench::machine::Machine;
use super::bench::{compare, table};

fn report() -> Report {
    let stage = Stage::new("write", 4.0).with_bytes(2_000_000);
    Report {
        date: "2026-11-22".to_owned(),
        machine: Machine {
            processor: "Abacus".to_owned(),
            cores: 2,
            memory_bytes: Some(25_000_000_000),
            system: "linux x86_64".to_owned(),
        },
        setup: Setup {
            data: Data::Drawn {
                images: 100,
                width: 20,
                height: 10,
                seed: 0,
            },
            latency_ms: 30,
            components: "0.9".to_owned(),
        },
        folders: 10,
        jobs: vec![Job {
            model: "vgg16".to_owned(),
            images: 100,
            bytes: 500_000,
            features: 25_088,
            components: 70,
            seconds: 5.0,
            stages: vec![
                Stage::new("start", 1.0).fixed(),
                Stage {
                    peak_bytes: Some(300_000_000),
                    ..stage
                },
                Stage::part("network", 3.0),
            ],
            rounds: vec![5.0],
        }],
    }
}

#[test]
fn a_file_is_read_back() {
    let report = report();
    let text = report.json().to_string();
    assert_eq!(Report::parse(&text).unwrap(), report);
    let job = &report.json()["jobs"][0];
    assert_eq!(job["images_per_second"], 20.0);
    assert_eq!(job["peak_bytes"], 300_000_000);
    assert_eq!(job["stages"][0].get("images_per_second"), None);
    assert_eq!(job["stages"][1]["megabytes_per_second"], 0.5);
    assert_eq!(job["stages"][2]["images_per_second"], 100.0 / 3.0);
    assert_eq!(job["stages"][2]["share"], 0.6);
}

#[test]
fn the_middle_round_is_shown_and_all_are_named() {
    let job = |seconds| Job {
        seconds,
        ..report().jobs.swap_remove(0)
    };
    let median = Job::median(vec![job(7.0), job(3.0), job(5.0), job(9.0)]).unwrap();
    assert_eq!(median.seconds, 5.0);
    assert_eq!(median.rounds, [7.0, 3.0, 5.0, 9.0]);
    assert_eq!(Job::median(vec![]), None);
}

#[test]
fn a_table_has_a_line_for_each_stage() {
    let text = table::markdown(&report());
    for line in [
        "100 JPEGs of 20×10 pixels (0.5 MB in 10 folders) from an S3 server on the same machine, which takes 30 ms for each request",
        "**VGG16**, 25,088 features an image, 70 components:",
        "| start | 1.00 | 20.0 % |  |  |  |",
        "| write | 4.00 | 80.0 % | 25.0 | 0.50 | 300 |",
        "| – network | 3.00 | 60.0 % | 33.3 |  |  |",
        "| **whole job** | 5.00 | 100.0 % | 20.0 |  | 300 |",
        "| job | images | time | images/s | VGG16 is |\n|---|--:|--:|--:|--:|\n",
        "| **VGG16** | 100 | 5.0 s | 20.0 | |",
        "| PySpark | 3,110 | 15 min 24 s | 3.37 | 5.94 × as fast |",
        "| PySpark | 6,231 | 30 min 28 s | 3.41 | 5.87 × as fast |",
        "| PySpark | 3,114 | 23 min 30 s | 2.21 | 9.06 × as fast |",
        "Abacus, 2 cores, 25 GB of memory, linux x86_64, 2026-11-22",
    ] {
        assert!(text.contains(line), "{line}\n\n{text}");
    }
}

#[test]
fn numbers_are_short() {
    let shown = [0.0712, 3.368, 9.96, 35.87, 99.46, 99.5, 12_345.6].map(table::significant);
    assert_eq!(
        shown,
        ["0.07", "3.37", "10.0", "35.9", "99.5", "100", "12,346"]
    );
}

#[test]
fn the_guide_keeps_what_is_around_the_table() {
    let marker = "<!-- pipeline: made by cargo bench --bench pipeline -- --update-guide -->";
    let guide = format!("a\n<!-- end -->\n{marker}\nold\n<!-- end -->\nb");
    let expected = format!("a\n<!-- end -->\n{marker}\nnew\n<!-- end -->\nb");
    assert_eq!(table::into_guide(&guide, "new\n"), Ok(expected));
    assert!(table::into_guide("nothing", "new").is_err());
}

#[test]
fn the_guide_has_a_place_for_it() {
    let guide = include_str!("../../../src/guide/performance.md");
    assert!(table::into_guide(guide, "new\n").is_ok());
}

#[test]
fn ratios_are_of_the_same_stage() {
    let before = report();
    let mut now = report();
    now.jobs[0].seconds = 4.0;
    now.jobs[0].stages[1].seconds = 3.0;
    now.jobs[0].stages[2].name = "other".to_owned();
    let text = compare::markdown(&before, &now).unwrap();
    for line in [
        "| start | 1.00 | 1.00 | 1.000 |",
        "| write | 4.00 | 3.00 | 0.750 |",
        "| – other |  | 3.00 |  |",
        "| **whole job** | 5.00 | 4.00 | 0.800 |",
        "| **images/s** | 20.0 | 25.0 | 1.250 |",
        "| **peak MB** | 300 | 300 | 1.000 |",
    ] {
        assert!(text.contains(line), "{line}\n\n{text}");
    }
    assert!(!text.contains("Not the same"), "{text}");
}

#[test]
fn what_else_differs_is_said() {
    let before = report();
    let mut now = report();
    now.machine.cores = 64;
    now.setup.latency_ms = 5;
    let text = compare::markdown(&before, &now).unwrap();
    assert!(
        text.contains("Not the same machine: before Abacus, 2 cores"),
        "{text}"
    );
    assert!(
        text.contains("Not the same latency: before 30 ms, now 5 ms."),
        "{text}"
    );
    now.jobs[0].model = "mobilenet_v2".to_owned();
    let error = compare::markdown(&before, &now).unwrap_err();
    assert_eq!(
        error,
        "--compare: no network in common: before vgg16, now mobilenet_v2"
    );
}

#[test]
fn a_machine_says_what_it_knows() {
    let known = report().machine;
    assert_eq!(
        known.describe(),
        "Abacus, 2 cores, 25 GB of memory, linux x86_64"
    );
    let unknown = Machine {
        memory_bytes: None,
        ..known
    };
    assert_eq!(unknown.describe(), "Abacus, 2 cores, linux x86_64");
    assert!(Machine::current().cores > 0);
}
