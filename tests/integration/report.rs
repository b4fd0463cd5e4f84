//! `featurize report`, read as text: structure, escaping, bounds, errors, the same bytes twice.
//!
//! How it looks and works in a browser is looked at by hand, with headless Chromium.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

mod drawing;
mod stores;

const IMAGES: &str = "
    CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION 'examples/fruits/'
    OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');";

/// Five numbers of each picture: no network is needed to draw a report.
const VECTOR: &str = "[length, 100.0 + ascii(split_part(path, '/', -1)), cos(length), \
     sin(length), CAST(ascii(split_part(path, '/', -2)) AS DOUBLE)]";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs SQL in which `{}` is this folder.
    fn sql(&self, sql: &str) {
        let sql = sql.replace("{}", &self.0.path().display().to_string());
        let output = featurize(&["-q", "-c", &sql]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// The page that these options give.
    fn report(&self, options: &[&str]) -> String {
        let page = self.at("report.html");
        let output = featurize(&[&["report", "-q", "--out", &page], options].concat());
        assert_eq!(text(&output.stderr), "");
        assert!(output.status.success());
        std::fs::read_to_string(page).unwrap()
    }

    /// What these options are refused with.
    fn error(&self, options: &[&str]) -> String {
        let page = self.at("refused.html");
        let output = featurize(&[&["report", "--out", &page], options].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(!Path::new(&page).exists());
        text(&output.stderr)
    }

    fn fruits(&self) {
        self.sql(&format!(
            "{IMAGES} COPY (SELECT path, split_part(path, '/', -2) AS label, {VECTOR} AS features \
             FROM images) TO '{{}}/features.parquet' STORED AS PARQUET;"
        ));
    }
}

fn featurize(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_featurize"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Checks that elements nest, that attributes are quoted and ids unique, and counts elements.
fn elements(page: &str) -> HashMap<String, usize> {
    const VOID: [&str; 5] = ["meta", "link", "input", "img", "wbr"];
    let mut counts = HashMap::new();
    let mut ids = std::collections::HashSet::new();
    let mut open: Vec<String> = vec![];
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').unwrap();
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some((_, id)) = tag.split_once(" id=\"") {
            assert!(
                ids.insert(id.split('"').next().unwrap().to_owned()),
                "{tag}"
            );
        }
        *counts.entry(name.clone()).or_default() += 1;
        if name == "script" || name == "style" {
            let end = rest.find(&format!("</{name}>")).unwrap();
            rest = &rest[end + name.len() + 3..];
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    counts
}

#[test]
fn a_page_stands_alone_and_is_the_same_every_time() {
    let folder = Folder::new();
    folder.fruits();
    let features = folder.at("features.parquet");
    let page = folder.report(&["--features", &features]);
    assert_eq!(page, folder.report(&["--features", &features]));

    let counts = elements(&page);
    assert_eq!(counts["h1"], 1);
    assert_eq!(counts["section"], 5);
    // A mark for each point, and one for each label of the legend.
    assert_eq!(counts["use"], 48 + 8);
    assert_eq!(counts["script"], 2);
    // Every picture is in the page, once; nothing refers to the outside.
    assert_eq!(page.matches("/9j/").count(), 48);
    assert_eq!(
        page.matches("src=\"data:image/jpeg;base64,/9j/").count(),
        48
    );
    let page = page.replace("src=\"data:image/jpeg;base64,", "");
    for outside in ["http:", "https:", "src=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    for expected in [
        "48 images, 8 labels",
        "All 48 images.",
        "Apple Red",
        "6 images each",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(page.contains("one was fitted for this page"));
    assert!(page.contains("<dt>written by</dt>"));
    assert!(page.contains("Not recorded: the network and the weights."));
}

#[test]
fn text_from_data_is_only_text() {
    let folder = Folder::new();
    let nasty = r#"</script><script>alert("é & ''")</script>"#;
    folder.sql(&format!(
        "CREATE TABLE t AS SELECT 's3://none/<b>' || value || '.jpg' AS path, \
         CASE WHEN value % 2 = 0 THEN '{}' ELSE NULL END AS label, \
         [value, value * value % 7, 1.0] AS features, \
         CASE WHEN value = 3 THEN '<i>bad</i>' END AS reason FROM generate_series(1, 9); \
         COPY t TO '{{}}/features.parquet' STORED AS PARQUET;",
        nasty.replace('\'', "''")
    ));
    let options = [
        "--features",
        &folder.at("features.parquet"),
        "--thumbnails",
        "0",
    ];
    let page = folder.report(&[&options[..], &["--title", "<script>x</script>"]].concat());
    let counts = elements(&page);
    assert_eq!(counts["script"], 2);
    assert!(!counts.contains_key("b") && !counts.contains_key("i"));
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(&quot;é &amp; ''&quot;)"));
    assert!(page.contains("(no label)"));
    assert!(page.contains("&lt;i&gt;bad&lt;/i&gt;"));
    assert!(page.contains("<title>&lt;script&gt;x&lt;/script&gt;: 9 images, 2 labels</title>"));
}

#[test]
fn a_picture_with_a_hostile_name_is_only_a_picture() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("a<i>")).unwrap();
    for name in ["\"><script>x.jpg", "it's & more.jpg"] {
        std::fs::copy(
            "examples/fruits/Kiwi/0_100.jpg",
            folder.path("a<i>").join(name),
        )
        .unwrap();
    }
    folder.sql(
        "CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '{}/a<i>/';
         COPY (SELECT path, [ascii(split_part(path, '/', -1)), length] AS features FROM images)
         TO '{}/features.parquet' STORED AS PARQUET;",
    );
    let page = folder.report(&["--features", &folder.at("features.parquet")]);
    let counts = elements(&page);
    assert_eq!((counts["script"], counts["img"]), (2, 2));
    assert!(!counts.contains_key("i"));
    assert!(page.contains("alt=\"&quot;&gt;&lt;script&gt;x.jpg\""));
    assert!(page.contains("alt=\"it's &amp; more.jpg\""));
}

#[test]
fn points_labels_and_lists_are_bounded() {
    let folder = Folder::new();
    folder.sql(
        "COPY (SELECT 's3://none/' || repeat('long/', 100) || value || '.jpg' AS path, \
         'Label ' || (value % 500) AS label, [sin(value), cos(value), value] AS features, \
         repeat('why ', 200) AS error FROM generate_series(1, 20000)) \
         TO '{}/features.parquet' STORED AS PARQUET;",
    );
    let features = folder.at("features.parquet");
    let options = ["--features", &features, "--thumbnails", "0"];
    let page = folder.report(&options);
    let counts = elements(&page);
    assert_eq!(counts["use"], 2000 + 400);
    assert!(page.contains("A sample of 2,000 of 20,000 images"));
    assert!(page.contains("20,000 images, the first 200 by path"));
    assert!(page.contains("Marks repeat after 48 labels"));
    assert!(page.len() < 1_500_000, "{}", page.len());
    let page = folder.report(&[&options[..], &["--points", "100"]].concat());
    assert_eq!(elements(&page)["use"], 100 + 400);
}

#[test]
fn a_stored_model_scores_and_a_ledger_are_shown() {
    let folder = Folder::new();
    folder.fruits();
    folder.sql(
        "CREATE TABLE model AS SELECT pca_fit(features, 2) AS fitted FROM '{}/features.parquet';
         COPY model TO '{}/model.parquet' STORED AS PARQUET;
         COPY (SELECT path, pca_transform(features, (SELECT fitted FROM model)) AS features_pca
               FROM '{}/features.parquet') TO '{}/scores.parquet' STORED AS PARQUET;
         COPY (SELECT 'file:///gone.jpg' AS path, 'truncated' AS reason)
         TO '{}/ledger.parquet' STORED AS PARQUET;
         COPY (SELECT 'file:///gone.jpg' AS path, 'truncated' AS reason)
         TO '{}/ledger/' STORED AS CSV;",
    );
    let (features, model) = (folder.at("features.parquet"), folder.at("model.parquet"));
    let scores = folder.at("scores.parquet");
    // Also as `examples/error_ledger.sql` writes it.
    for ledger in [folder.at("ledger.parquet"), folder.at("ledger/")] {
        let page = folder.report(&[
            "--features",
            &features,
            "--model",
            &model,
            "--ledger",
            &ledger,
        ]);
        elements(&page);
        let page = page.replace("<wbr>", "");
        assert!(page.contains("The 2 components of the model explain"));
        assert!(page.contains("It was fitted to 48 vectors of 5 numbers."));
        assert!(page.contains("file:///gone.jpg") && page.contains("truncated"));
    }

    let page = folder.report(&["--features", &scores]);
    elements(&page);
    assert!(page.contains("The column holds scores already"));
    // Without a column of labels, folders stand for it.
    assert!(page.contains("a label is the folder of the path"));
    assert!(page.contains("8 labels"));
}

#[test]
fn what_made_the_vectors_is_told_and_mixtures_are_warned_of() {
    let folder = Folder::new();
    let copy = |fruit: &str, pooling: &str| {
        folder.sql(&format!(
            "{IMAGES} COPY (SELECT path, featurize(content, 'mobilenet_v2', 'seeded', '{pooling}') \
             AS features FROM images WHERE path LIKE '%/{fruit}/%') \
             TO '{{}}/features/{fruit}.parquet' STORED AS PARQUET;"
        ));
    };
    copy("Kiwi", "avg");
    let features = folder.at("features");
    let page = folder.report(&["--features", &features]);
    assert!(page.contains("<dt>featurize.model</dt><dd><bdi>mobilenet_v2</bdi></dd>"));
    assert!(page.contains("<dt>featurize.weights_sha256</dt>"));
    assert!(!page.contains("class=\"warning\""));
    copy("Lemon", "max");
    let page = folder.report(&["--features", &features]);
    elements(&page);
    assert!(page.contains("The vectors are of 2 different origins"));
    assert!(page.contains("<p>1 file:</p>"));
}

#[test]
fn images_that_are_gone_leave_their_points() {
    let folder = Folder::new();
    folder.sql(
        "COPY (SELECT 'file:///no/such/' || value || '.jpg' AS path, 'x' AS label,
               [value, value % 3] AS features FROM generate_series(1, 5))
         TO '{}/features.parquet' STORED AS PARQUET;
         COPY (SELECT 'file:///no/such/1.jpg' AS path, 'x' AS label, [1.0, 2.0] AS features
               UNION ALL SELECT 'not a uri', NULL, [2.0, 1.0]
               UNION ALL SELECT 'file:///no/such/2.jpg', 'x', NULL
               UNION ALL SELECT NULL, 'x', [3.0, 1.0]
               UNION ALL SELECT 'not a uri', NULL, [1.0, 1.0])
         TO '{}/odd.parquet' STORED AS PARQUET;",
    );
    let page = folder.report(&["--features", &folder.at("features.parquet")]);
    assert_eq!(elements(&page)["use"], 5 + 1);
    assert!(page.contains("5 images could not be read for a thumbnail."));
    let page = folder.report(&["--features", &folder.at("odd.parquet")]);
    assert!(page.contains("All 3 images. 1 of them has no vector."));
    assert!(page.contains("Not drawn: 1 row whose path another row has."));
    assert!(page.contains("Not drawn: 1 row without a path."));
    // Of a path that occurs twice, the smaller scores are taken.
    assert_eq!(elements(&page)["use"], 2 + 2);
}

#[test]
fn errors_say_what_was_expected_and_found() {
    let folder = Folder::new();
    folder.fruits();
    folder.sql(
        "COPY (SELECT 1 AS id, 'a' AS features) TO '{}/wrong.parquet' STORED AS PARQUET;
         COPY (SELECT 'a' AS path, '[1, 2]' AS features) TO '{}/text.parquet' STORED AS PARQUET;
         COPY (SELECT 'a' AS path, [1.0] AS features WHERE false) TO '{}/empty.parquet'
         STORED AS PARQUET;
         COPY (SELECT column1 AS path, [column2] AS features FROM (VALUES ('a', 1.0), ('b', 1.0)))
         TO '{}/constant.parquet' STORED AS PARQUET;
         COPY (SELECT 'a' AS path, CASE WHEN random() > 2 THEN [1.0] END AS features)
         TO '{}/null.parquet' STORED AS PARQUET;
         COPY (SELECT label, pca_fit(features, 1) AS pca FROM '{}/features.parquet' GROUP BY label)
         TO '{}/models.parquet' STORED AS PARQUET;",
    );
    let features = folder.at("features.parquet");
    for (options, expected) in [
        (
            vec!["--features", &folder.at("nowhere/")],
            vec!["--features", "nowhere", "found no Parquet file", ".parquet"],
        ),
        (
            vec!["--features", &folder.at("wrong.parquet")],
            vec![
                "no column 'path'",
                "id (Int64), features (Utf8View)",
                "--path-column",
            ],
        ),
        (
            vec!["--features", &folder.at("text.parquet")],
            vec![
                "a column 'features' of Utf8View",
                "a list of numbers",
                "CAST(… AS VARCHAR)",
            ],
        ),
        (
            vec!["--features", &features, "--label-column", "kind"],
            vec!["no column 'kind'", "label (Utf8View)", "--label-column"],
        ),
        (
            vec!["--features", &folder.at("null.parquet")],
            vec!["null.parquet", "holds 0 vectors", "--model", "image_info"],
        ),
        (
            vec!["--features", &folder.at("constant.parquet")],
            vec!["no model can be fitted", "constant.parquet", "--model"],
        ),
        (
            vec!["--features", &folder.at("empty.parquet")],
            vec!["empty.parquet", "holds no row"],
        ),
        (
            vec![
                "--features",
                &features,
                "--model",
                &folder.at("models.parquet"),
            ],
            vec!["--model", "holds 8 models; expected one"],
        ),
        (
            vec!["--features", &features, "--model", &features],
            vec!["--model", "no column 'pca'", "pca_fit", "--model-column"],
        ),
        (
            vec!["--features", &features, "--ledger", &features],
            vec!["--ledger", "no columns 'path' and 'reason'", "image_info"],
        ),
    ] {
        let error = folder.error(&options);
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }
    let output = featurize(&[
        "report",
        "--features",
        &features,
        "--out",
        "/no/such/x.html",
    ]);
    assert!(text(&output.stderr).contains("--out '/no/such/x.html'"));
}

#[tokio::test]
async fn a_program_draws_the_same_page_and_keeps_its_session() {
    use datafusion::prelude::SessionContext;
    use datafusion_featurize::report::{ReportOptions, draw};

    let folder = Folder::new();
    folder.fruits();
    let features = folder.at("features.parquet");
    let ctx = SessionContext::new();
    datafusion_featurize::enable_featurize(&ctx).unwrap();
    ctx.sql("SET datafusion.execution.batch_size = 1000")
        .await
        .unwrap();
    let report = draw(&ctx, &ReportOptions::new(&features)).await.unwrap();
    assert_eq!(report.html, folder.report(&["--features", &features]));
    assert_eq!(
        (report.images, report.points, report.thumbnails),
        (48, 48, 48)
    );
    let tables = ctx.catalog("datafusion").unwrap().schema("public").unwrap();
    assert!(tables.table_names().is_empty());
    assert_eq!(ctx.copied_config().batch_size(), 1000);

    // Messages name options as a program does.
    let mut options = ReportOptions::new(&features);
    options.label_column = Some("kind".to_owned());
    let error = draw(&ctx, &options).await.unwrap_err().to_string();
    assert!(
        error.contains("name the column with label_column"),
        "{error}"
    );
}
