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
            "; of a list write list[1]",
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
            "SELECT predict(1)",
            "there is no function predict; SHOW FUNCTIONS lists them",
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
        ("INSTALL httpfs", "nothing has to be installed"),
    ] {
        let output = featurize(&["-q", "-c", sql]);
        let error = text(&output.stderr);
        assert!(error.contains(expected), "{sql}: {error}");
        assert_eq!(output.status.code(), Some(1));
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
