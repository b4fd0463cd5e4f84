//! Points, labels and axes of the page.

use super::*;

/// The numbers of marks whose label is each of `labels`.
fn marks(page: &str, labels: &[&str]) -> Vec<usize> {
    let count = |label: &&str| page.matches(&format!("<title>{label}\n")).count();
    labels.iter().map(count).collect()
}

#[test]
fn a_sample_keeps_every_label_and_does_not_depend_on_the_order() {
    let folder = Folder::new();
    folder.sql(
        "CREATE TABLE t AS SELECT 's3://none/' || value || '.jpg' AS path,
               CASE WHEN value <= 1000 THEN 'many' WHEN value <= 1010 THEN 'few'
                    ELSE 'one' || value END AS label,
               [sin(value), cos(value), value % 7] AS features FROM generate_series(1, 1012);
         COPY (SELECT pca_fit(features, 3) AS pca FROM t) TO '{}/model.parquet';
         COPY (SELECT * FROM t ORDER BY path) TO '{}/up.parquet';
         COPY (SELECT * FROM t ORDER BY path DESC) TO '{}/down.parquet';",
    );
    let drawn = |name: &str, points: &str| {
        let (features, model) = (folder.at(name), folder.at("model.parquet"));
        let options = [
            "--features",
            &features,
            "--model",
            &model,
            "--thumbnails",
            "0",
        ];
        folder.report(&[&options[..], &["--points", points]].concat())
    };
    let labels = ["many", "few", "one1011", "one1012"];
    let page = drawn("up.parquet", "30");
    assert_eq!(marks(&page, &labels), [27, 1, 1, 1]);
    assert!(page.contains("A sample of 30 of 1,012 images"));
    assert_eq!(marks(&drawn("up.parquet", "506"), &labels), [499, 5, 1, 1]);
    assert_eq!(
        marks(&drawn("up.parquet", "3"), &labels)
            .iter()
            .sum::<usize>(),
        3
    );
    let plane = |page: &str| {
        let (_, points) = page.split_once("<g id=\"points\">").unwrap();
        points.split_once("</g>").unwrap().0.to_owned()
    };
    assert_eq!(plane(&page), plane(&drawn("down.parquet", "30")));
}

#[test]
fn each_label_shows_some_of_its_images() {
    let folder = Folder::new();
    folder.fruits();
    let features = folder.at("features.parquet");
    let options = ["--features", &features, "--thumbnails"];
    // The first thumbnails are of one label each.
    let page = folder.report(&[&options[..], &["8"]].concat());
    assert_eq!(page.matches("src=\"data:").count(), 8);
    let lists: Vec<&str> = page.split("<li><bdi>").skip(1).collect();
    assert_eq!(lists.len(), 8);
    for list in lists {
        assert_eq!(list.matches("src=\"data:").count(), 1);
        assert!(list.contains(".jpg\" title=\""), "{list}");
    }
    assert!(page.contains("Of each, 1 at most are shown."));
    assert!(page.contains("40 points without a thumbnail."));

    // Of one label with many images, twelve are in the list; the others are for the plot only.
    folder.sql(
        "COPY (SELECT path, 'all' AS label, features FROM '{}/features.parquet')
         TO '{}/one.parquet' STORED AS PARQUET;",
    );
    let page = folder.report(&["--features", &folder.at("one.parquet")]);
    assert_eq!(page.matches("src=\"data:").count(), 12);
    assert_eq!(page.matches("/9j/").count(), 48);
}

#[test]
fn what_says_nothing_is_not_shown() {
    let folder = Folder::new();
    folder.fruits();
    let page = folder.report(&["--features", &folder.at("features.parquet")]);
    assert!(!page.contains("not known") && !page.contains("images not read"));
    // All labels have six images: neither bars nor numbers.
    assert!(!page.contains("<rect") && !page.contains("<span>6</span>"));

    folder.sql(
        "COPY (SELECT path, label, features, CAST(NULL AS VARCHAR) AS error
               FROM '{}/features.parquet' WHERE path NOT LIKE '%/Kiwi/1_%')
         TO '{}/fewer.parquet' STORED AS PARQUET;",
    );
    let page = folder.report(&["--features", &folder.at("fewer.parquet")]);
    assert_eq!(elements(&page)["rect"], 8);
    assert!(page.contains("5 to 6 images.") && page.contains("<span>5</span>"));
    assert!(page.contains("<dt>images not read</dt><dd>0</dd>"));
}

#[test]
fn axes_can_be_chosen_where_there_are_more_than_two() {
    let folder = Folder::new();
    folder.fruits();
    let features = folder.at("features.parquet");
    folder.sql(
        "COPY (SELECT pca_fit(features, 2) AS pca FROM '{}/features.parquet')
         TO '{}/two.parquet' STORED AS PARQUET;
         COPY (SELECT pca_fit(features, 5) AS pca FROM '{}/features.parquet')
         TO '{}/five.parquet' STORED AS PARQUET;",
    );
    let drawn =
        |model: &str| folder.report(&["--features", &features, "--model", &folder.at(model)]);
    assert!(!drawn("two.parquet").contains("<select"));
    let page = drawn("five.parquet");
    let counts = elements(&page);
    assert_eq!((counts["select"], counts["option"]), (2, 10));
    for expected in [
        "<option value=\"0\" selected>PC1 (",
        "<option value=\"1\" selected>PC2 (",
        "<option value=\"4\">PC5 (",
        "<g class=\"grid\" data-across=\"4\" hidden>",
        "<g class=\"grid\" data-up=\"1\">",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    let data = page.split_once("type=\"application/json\">").unwrap().1;
    let data = data.split_once("</script>").unwrap().0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["axes"].as_array().unwrap().len(), 5);
    for point in data["points"].as_array().unwrap() {
        assert_eq!(point[1].as_array().unwrap().len(), 5);
    }
}
