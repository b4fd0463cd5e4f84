//! What a statement that is wrong is met with.

use super::cli::{featurize, text};

/// What is no error, but not what was asked for, is said on stderr, once.
#[test]
fn fewer_components_than_asked_for_are_told() {
    let sql = "SELECT pca_n_components(pca_fit(x, 1280, {convention: 'spark'})) AS k, y \
               FROM (VALUES ([1.0, 2.0], 1), ([2.0, 1.0], 1), ([2.0, 1.0], 2), ([2.0, 3.0], 2)) AS t(x, y) \
               GROUP BY y ORDER BY y";
    let output = featurize(&["-q", "--format", "csv", "-c", sql]);
    assert_eq!(text(&output.stdout), "k,y\n2,1\n2,2\n");
    let notice = "pca_fit: n_components = 1280 is more than 2 rows of 2 values can give: the model has 2 \
                  components";
    assert_eq!(text(&output.stderr).matches(notice).count(), 1);
}

#[test]
fn a_gap_between_named_arguments_is_met_with_what_fills_it() {
    let sql = "SELECT pca_fit([1.0, 2.0], 1, convention => 'spark')";
    let error = text(&featurize(&["-q", "-c", sql]).stderr);
    assert!(error.contains("{convention: 'spark'}"), "{error}");
}

#[test]
fn mistyped_options_of_writing_are_met_with_the_right_ones() {
    let folder = tempfile::tempdir().unwrap();
    let sql = format!(
        "COPY (SELECT 1 AS a) TO '{}/x/' STORED AS PARQUET OPTIONS ('write_mod' 'overwrite')",
        folder.path().display()
    );
    let error = text(&featurize(&["-q", "-c", &sql]).stderr);
    assert!(error.contains("did you mean 'write_mode'"), "{error}");
}

#[test]
fn mistyped_names_are_met_with_those_that_exist() {
    let table = "CREATE TABLE images AS SELECT 1 AS a;";
    for (sql, name) in [
        ("SELECT * FROM imges", "images"),
        ("SELECT i.a FROM images JOIN imagess i ON true", "images"),
        (
            "WITH i AS (SELECT 1) SELECT * FROM public.imaegs, i",
            "images",
        ),
        ("EXPLAIN SELECT * FROM imges", "images"),
        ("INSERT INTO imges VALUES (1)", "images"),
        ("COPY imges TO '/nowhere/x.csv'", "images"),
        ("SET featurise.model = 'vgg16'", "featurize.model"),
        (
            "SET datafusion.execution.batchsize = 1",
            "datafusion.execution.batch_size",
        ),
        (
            "RESET datafusion.execution.batchsize",
            "datafusion.execution.batch_size",
        ),
        ("SHOW featurize.modl", "featurize.model"),
        ("SET threads = 2", "featurize.threads"),
        ("SET modle = 'vgg16'", "featurize.model"),
        (
            "COPY (SELECT 1) TO '/nowhere/x' STORED AS PARQET",
            "PARQUET",
        ),
        (
            "COPY (SELECT 1) TO '/nowhere/x' STORED AS CSV OPTIONS ('format.has_heder' 'true')",
            "format.has_header",
        ),
        (
            "CREATE EXTERNAL TABLE i STORED AS BINARYFLE LOCATION '/x/'",
            "BINARYFILE",
        ),
        (
            "CREATE EXTERNAL TABLE i STORED AS BINARYFILE LOCATION 's3://b/' OPTIONS ('aws.endpoint_url' 'x')",
            "'aws.endpoint'",
        ),
    ] {
        let output = featurize(&["-q", "-c", table, "-c", sql]);
        let error = text(&output.stderr);
        assert!(
            error.contains(&format!("did you mean {name}?")),
            "{sql}: {error}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    // The cause comes first.
    let error = text(&featurize(&["-q", "-c", table, "-c", "SELECT * FROM imges"]).stderr);
    let expected = "table 'datafusion.public.imges' not found; did you mean images?\n";
    assert!(error.ends_with(expected), "{error}");
    for sql in [
        "COPY (SELECT nothing) TO '/nowhere/x' STORED AS PARQUET OPTIONS ('format.compression::a' 'zstd')",
        "SELECT * FROM nowhere",
        "SELECT b FROM images WHERE a = 'x'",
        // There is a table whose name is near to that of the new one; the error is another.
        "CREATE TABLE image AS SELECT pca_fit([1.0, 2.0], 1) FROM images",
        "SELECT pca_fit([1.0, 2.0], 1) FROM images",
    ] {
        let output = featurize(&["-q", "-c", table, "-c", sql]);
        let error = text(&output.stderr);
        assert!(!error.contains("did you mean"), "{sql}: {error}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// By the names of other engines, and by likeness only where it is likely.
#[test]
fn what_other_engines_have_is_met_with_what_there_is() {
    for (sql, expected) in [
        (
            "SELECT split('a/b', '/')",
            "there is no function split; write split_part(path, '/', -2)",
        ),
        ("SELECT Size([1])", "array_length(list)"),
        ("SELECT array_mean([1.0])", "array_avg(list)"),
        (
            "SELECT regexp_extract('a', 'b', 1)",
            "regexp_match(text, pattern)[1]",
        ),
        ("SELECT explode([1])", "unnest(list)"),
        (
            "SELECT element_at(string_to_array('a/b', '/'), -2)",
            "Expected a Map type, got List(Utf8); of a list write list[1]",
        ),
        (
            "SELECT input_file_name()",
            "a BINARYFILE table has the column path",
        ),
        (
            "SELECT image_inf(X'00')",
            "there is no function image_inf; did you mean image_info?",
        ),
        (
            "SELECT prophesy(1)",
            "there is no function prophesy; SHOW FUNCTIONS lists them",
        ),
        (
            "SELECT predict(X'00')",
            "featurize(content, 'mobilenet_v2'), which gives features",
        ),
        (
            "SELECT embed(X'00')",
            "write featurize(content, 'mobilenet_v2')",
        ),
        (
            "SELECT encode_image(X'00')",
            "write featurize(content, 'mobilenet_v2')",
        ),
        ("SELECT vgg16(X'00')", "write featurize(content, 'vgg16')"),
        (
            "SELECT MobileNet_V2_050(X'00')",
            "write featurize(content, 'mobilenet_v2_050')",
        ),
        ("SELECT group_concat('a')", "write string_agg(column, ', ')"),
        (
            "SELECT count_if(true)",
            "write count(*) FILTER (WHERE condition)",
        ),
        (
            "SELECT max_by(1, 2)",
            "write first_value(path ORDER BY score DESC)",
        ),
        (
            "SELECT arg_max(1, 2)",
            "write first_value(path ORDER BY score DESC)",
        ),
        (
            "SELECT rlike('a', 'b')",
            "write regexp_like(text, pattern), or text ~ pattern",
        ),
        ("SELECT 'a' RLIKE 'b'", "RLike; write path ~ 'pattern'"),
        ("SELECT hash('a')", "write md5(text), or sha256(content)"),
        ("SELECT kmeans([1.0], 3)", "elsewhere, as with scikit-learn"),
        (
            "SELECT image_info(X'00').width",
            "stands in brackets: image_info(content)['width']",
        ),
        (
            "SELECT * FROM read_parquet('x.parquet')",
            "not found; write FROM 'file.parquet'",
        ),
        ("SELECT * FROM read_files('x')", "STORED AS BINARYFILE"),
        (
            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1",
            "leave out TEMP",
        ),
        (
            "SELECT * FROM t LATERAL VIEW explode(a) x AS b",
            "unnest(list)",
        ),
        (
            "CREATE TABLE t USING parquet AS SELECT 1",
            "STORED AS PARQUET",
        ),
        ("COPY (SELECT 1) TO 'x.csv' (FORMAT csv)", "STORED AS CSV"),
        (
            "SELECT 1 FROM (VALUES (1)) AS t(a) WHERE 'x' LIKE \"%.jpg\"",
            "single quotes: '%.jpg'",
        ),
        ("\\d t", "are for the prompt: SHOW TABLES"),
        ("SELECT [1.0] <-> [2.0]", "array_distance(a, b)"),
        ("SELECT featurize(X'00', vgg16)", "single quotes: 'vgg16'"),
        (
            "SELECT featurize(X'00', 'vgg16', seeded)",
            "single quotes: 'seeded'",
        ),
        (
            "SELECT featurize(X'00', model = 'vgg16')",
            "by an arrow: model => …",
        ),
        (
            "SELECT arrow_cast('a/b', 'Utf8')[-1]",
            "split_part(path, '/', -1)",
        ),
        (
            "COPY (SELECT 1) TO 'x.csv' WITH (HEADER true)",
            "STORED AS CSV OPTIONS",
        ),
        (
            "CREATE TABLE t AS SELECT 1; SELECT * FROM t TABLESAMPLE (10 PERCENT)",
            "TABLESAMPLE; a sample is WHERE random() < 0.1",
        ),
        (
            "COPY (SELECT 1) TO 'x.xlsx'",
            "name the format: STORED AS PARQUET",
        ),
        ("INSTALL httpfs", "nothing has to be installed"),
        (
            "CREATE TABLE t (a INT, b VARCHAR); INSERT INTO t VALUES ('x', 1)",
            "in the order of the columns, which DESCRIBE shows",
        ),
        ("SELECT length(X'ff')", "counts them in the column length"),
        (
            "VALUES ((SELECT 1))",
            "VALUES cannot hold a subquery; write SELECT (SELECT …)",
        ),
        (
            "SELECT * FROM (VALUES (1)) AS t(a) WHERE a = \"Kiwi\"",
            "single quotes: 'Kiwi'",
        ),
        (
            "SELECT * FROM (VALUES (1)) AS t(a) WHERE a = \"kiwi\"",
            "single quotes: 'kiwi'",
        ),
        (
            "COPY (SELECT 1) TO 'folder/'",
            "a folder does not say it: STORED AS PARQUET",
        ),
        (
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'Cargo.toml'",
            "LOCATION 'Cargo.toml': ",
        ),
        (
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'Cargo.toml'",
            "STORED AS BINARYFILE",
        ),
        (
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'examples/fruits/'",
            "STORED AS BINARYFILE",
        ),
    ] {
        let output = featurize(&["-q", "-c", sql]);
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{sql}: {error}");
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Where a name is not what is wrong, nothing is said of it; where the hint is all, the rest is left out.
#[test]
fn errors_are_no_longer_than_what_they_say() {
    for sql in [
        "SELECT element_at([1], 1)",
        "SELECT 'a' RLIKE 'b'",
        "SELECT image_info(X'00').width",
    ] {
        let error = text(&featurize(&["-q", "-c", sql]).stderr);
        for noise in ["Ident", "bug in DataFusion", "Candidate", "Internal"] {
            assert!(!error.contains(noise), "{error}");
        }
    }
}

#[test]
fn a_table_in_the_place_of_a_value_is_met_with_a_query() {
    let fit = "CREATE TABLE model AS SELECT pca_fit(f, 1) AS pca FROM (VALUES ([1.0, 2.0]), ([2.0, 0.0])) AS t(f);";
    for model in ["model", "model.pca"] {
        let sql =
            format!("{fit} SELECT pca_transform(f, {model}) FROM (VALUES ([1.0, 2.0])) AS t(f)");
        let error = text(&featurize(&["-q", "-c", &sql]).stderr);
        assert!(
            error.contains("t.f; model is a table: write (SELECT pca FROM model)"),
            "{error}"
        );
    }
    let sql = format!("{fit} SELECT pca_transform(f, modell) FROM (VALUES ([1.0, 2.0])) AS t(f)");
    let error = text(&featurize(&["-q", "-c", &sql]).stderr);
    assert!(!error.contains("is a table"), "{error}");
}

#[test]
fn a_place_that_no_query_reads_is_met_with_what_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir_all(at("photos/Lemon")).unwrap();
    std::fs::write(at("photos/Lemon/a.jpg"), "x").unwrap();
    std::fs::write(at("table.csv"), "a\n1\n").unwrap();
    let there_is_no = |name: &str, place: &str| format!("there is no '{name}' in '{}'", at(place));
    for (place, expected) in [
        (
            "photos",
            "no file in this folder is of a format that a query reads".to_owned(),
        ),
        (
            "photos/",
            format!(
                "STORED AS BINARYFILE LOCATION '{}' OPTIONS ('recursive",
                at("photos/")
            ),
        ),
        (
            "photos/Lemon/a.jpg",
            "this file is not of a format".to_owned(),
        ),
        (
            "photos/*/*.jpg",
            "no file of this pattern is of a format".to_owned(),
        ),
        ("photo/", there_is_no("photo", "")),
        ("photo/Lemon/", format!("did you mean '{}'?", at("photos"))),
        ("photos/Lime/a.jpg", there_is_no("Lime", "photos")),
        ("tabel.csv", format!("did you mean '{}'?", at("table.csv"))),
    ] {
        let sql = format!("SELECT * FROM '{}'", at(place));
        let error = text(&featurize(&["-q", "-c", &sql]).stderr);
        assert!(
            error.contains(expected.trim_end_matches("/'")),
            "{place}: {error}"
        );
        // In a folder, by a relative place.
        let sql = format!("SELECT * FROM '{place}'");
        let data = folder.path().display().to_string();
        let error = text(&featurize(&["-q", "-p", &data, "-c", &sql]).stderr);
        let hint = ["BINARYFILE", "there is no '"]
            .iter()
            .any(|hint| error.contains(hint));
        assert!(hint, "{place}: {error}");
    }
}

#[test]
fn options_of_other_engines_are_met_with_ours() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display();
    for (option, here) in [
        ("'header' 'true'", "'format.has_header' 'true'"),
        ("'format.header' 'true'", "'format.has_header' 'true'"),
        ("'sep' ';'", "'format.delimiter' ';'"),
        ("'mode' 'overwrite'", "'write_mode' 'overwrite'"),
    ] {
        let sql = format!("COPY (SELECT 1 AS a) TO '{folder}/x/' STORED AS CSV OPTIONS ({option})");
        let error = text(&featurize(&["-q", "-c", &sql]).stderr);
        assert!(error.contains(here), "{error}");
    }
}

#[test]
fn an_argument_after_a_gap_is_met_with_how_to_write_it() {
    let sql = "SELECT featurize(X'00', 'vgg16', input_size => 100)";
    let error = text(&featurize(&["-q", "-c", sql]).stderr);
    assert!(
        error.contains("weights => NULL, pooling => NULL"),
        "{error}"
    );
    assert!(!error.contains("pca_fit"), "{error}");
}

#[test]
fn an_endpoint_without_its_scheme_is_an_error() {
    let options =
        "'aws.endpoint' 'localhost:5777', 'aws.access_key_id' 'a', 'aws.secret_access_key' 'b'";
    for format in ["BINARYFILE", "PARQUET", "CSV"] {
        let sql = format!(
            "CREATE EXTERNAL TABLE t STORED AS {format} LOCATION 's3://bucket/x/' OPTIONS ({options})"
        );
        let output = featurize(&["-q", "-c", &sql]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("is 'localhost:5777', where"), "{error}");
    }
}
