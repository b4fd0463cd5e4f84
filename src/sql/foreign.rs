//! What people of other engines call what there is here.

const CLUSTERS: &str = "COPY (SELECT path, features FROM t) TO 'folder/' STORED AS PARQUET, and cluster that \
                        elsewhere, as with scikit-learn: here array_distance(a, b) tells what is near";
const CLASSES: &str =
    "featurize(content, 'mobilenet_v2'), which gives features: there are no classes";
const FEATURES: &str = "featurize(content, 'mobilenet_v2')";
const PARTS: &str = "split_part(path, '/', -2) for one part, or string_to_array(path, '/')";
/// Where files are not of the format that a table is stored as.
pub(super) const PICTURES: &str = "pictures are read by a table that is STORED AS BINARYFILE";
const SCALER: &str = "scaler_fit(features), then scaler_transform(features, scaler)";

/// Functions of Spark, DuckDB, Polars and pandas, and what to write for them.
const FUNCTIONS: &[(&str, &str)] = &[
    (
        "aggregate",
        "array_sum(list), or unnest(list) in a subquery",
    ),
    ("approx_count_distinct", "approx_distinct(column)"),
    ("approx_quantile", "approx_percentile_cont(column, 0.5)"),
    ("arg_max", "first_value(path ORDER BY score DESC)"),
    ("arg_min", "first_value(path ORDER BY score)"),
    ("argmax", "first_value(path ORDER BY score DESC)"),
    ("argmin", "first_value(path ORDER BY score)"),
    ("array_cosine_distance", "cosine_distance(a, b)"),
    ("array_cosine_similarity", "1 - cosine_distance(a, b)"),
    ("array_inner_product", "inner_product(a, b)"),
    ("array_mean", "array_avg(list)"),
    ("array_size", "array_length(list)"),
    ("avg_if", "avg(column) FILTER (WHERE condition)"),
    ("base64", "encode(content, 'base64')"),
    ("basename", "split_part(path, '/', -1)"),
    ("char", "chr(code)"),
    ("classify", CLASSES),
    ("cluster", CLUSTERS),
    ("collect_list", "array_agg(column)"),
    ("collect_set", "array_agg(DISTINCT column)"),
    ("cosine", "cosine_distance(a, b)"),
    ("cosine_similarity", "1 - cosine_distance(a, b)"),
    ("count_distinct", "count(DISTINCT column)"),
    ("count_if", "count(*) FILTER (WHERE condition)"),
    ("countdistinct", "count(DISTINCT column)"),
    ("countif", "count(*) FILTER (WHERE condition)"),
    ("dayofmonth", "date_part('day', time)"),
    ("dbscan", CLUSTERS),
    ("decode_image", "image_info(content), or featurize(content)"),
    ("dirname", "split_part(path, '/', -2)"),
    ("dot", "inner_product(a, b)"),
    ("element", "list[1], or list[-1] for the last"),
    ("embed", FEATURES),
    ("embed_image", FEATURES),
    ("embedding", FEATURES),
    ("encode_image", FEATURES),
    ("euclidean_distance", "array_distance(a, b)"),
    ("explode", "unnest(list)"),
    ("explode_outer", "unnest(list)"),
    ("extract_features", FEATURES),
    ("features", FEATURES),
    ("file_name", "split_part(path, '/', -1)"),
    ("filename", "split_part(path, '/', -1)"),
    ("first", "first_value(column ORDER BY other)"),
    ("get", "list[1]: the first item has number 1"),
    ("group_concat", "string_agg(column, ', ')"),
    ("hash", "md5(text), or sha256(content)"),
    ("height", "image_info(content)['height']"),
    ("hex", "encode(content, 'hex')"),
    ("hour", "date_part('hour', time)"),
    ("if", "CASE WHEN condition THEN a ELSE b END"),
    ("iff", "CASE WHEN condition THEN a ELSE b END"),
    ("image_embedding", FEATURES),
    ("image_features", FEATURES),
    ("image_height", "image_info(content)['height']"),
    ("image_size", "image_info(content)['width']"),
    ("image_width", "image_info(content)['width']"),
    ("imread", "image_info(content), or featurize(content)"),
    ("inception", "featurize(content, 'inception_v3')"),
    ("inceptionv3", "featurize(content, 'inception_v3')"),
    ("infer", FEATURES),
    ("isnotnull", "column IS NOT NULL"),
    ("isnull", "column IS NULL"),
    ("k_means", CLUSTERS),
    ("kmeans", CLUSTERS),
    ("kmeans_fit", CLUSTERS),
    ("l2_distance", "array_distance(a, b)"),
    ("l2_norm", "sqrt(inner_product(a, a))"),
    ("last", "last_value(column ORDER BY other)"),
    ("len", "length(text), or array_length(list)"),
    (
        "list_aggregate",
        "array_sum(list), array_avg(list), array_min(list) or array_max(list)",
    ),
    ("list_cosine_distance", "cosine_distance(a, b)"),
    ("list_cosine_similarity", "1 - cosine_distance(a, b)"),
    ("list_inner_product", "inner_product(a, b)"),
    ("list_mean", "array_avg(list)"),
    ("list_value", "make_array(a, b)"),
    ("listagg", "string_agg(column, ', ')"),
    ("locate", "strpos(text, part)"),
    ("max_by", "first_value(path ORDER BY score DESC)"),
    ("min_by", "first_value(path ORDER BY score)"),
    ("ml_predict", CLASSES),
    ("mobilenet", FEATURES),
    ("mobilenetv2", FEATURES),
    ("mode", "count(*) with GROUP BY and ORDER BY"),
    ("model_predict", CLASSES),
    ("monotonically_increasing_id", "row_number() OVER ()"),
    ("month", "date_part('month', time)"),
    ("parse_dirname", "split_part(path, '/', -2)"),
    ("parse_filename", "split_part(path, '/', -1)"),
    ("parse_path", "string_to_array(path, '/')"),
    (
        "pca",
        "pca_fit(features, 0.9), then pca_transform(features, model)",
    ),
    ("pca_predict", "pca_transform(features, model)"),
    ("percentile", "percentile_cont(column, 0.5)"),
    ("percentile_approx", "approx_percentile_cont(column, 0.5)"),
    ("phash", "image_hash(content)"),
    ("posexplode", "unnest(list)"),
    ("predict", CLASSES),
    ("quantile", "percentile_cont(column, 0.5)"),
    ("regexp", "regexp_like(text, pattern), or text ~ pattern"),
    ("regexp_extract", "regexp_match(text, pattern)[1]"),
    ("regexp_extract_all", "regexp_match(text, pattern)"),
    ("regexp_full_match", "regexp_like(text, '^pattern$')"),
    ("regexp_matches", "regexp_like(text, pattern)"),
    ("regexp_substr", "regexp_match(text, pattern)[1]"),
    (
        "resize",
        "featurize(content), which resizes, or thumbnail(content, 128)",
    ),
    ("resnet", "featurize(content, 'resnet50')"),
    ("rlike", "regexp_like(text, pattern), or text ~ pattern"),
    ("sample", "ORDER BY random() with LIMIT"),
    (
        "sequence",
        "range(first, last + 1), or generate_series(first, last)",
    ),
    ("sha1", "sha256(content)"),
    ("sha2", "sha256(content)"),
    ("size", "array_length(list), or length(text)"),
    (
        "slice",
        "array_slice(list, first, last), or list[first:last]",
    ),
    ("split", PARTS),
    ("standard_scaler", SCALER),
    ("standardize", SCALER),
    ("standardscaler", SCALER),
    ("std", "stddev(column)"),
    ("str_split", PARTS),
    ("strftime", "to_char(time, '%Y-%m-%d')"),
    ("string_split", PARTS),
    ("strptime", "to_timestamp(text, '%Y-%m-%d')"),
    ("struct_pack", "named_struct('name', value)"),
    ("sum_if", "sum(column) FILTER (WHERE condition)"),
    ("sumif", "sum(column) FILTER (WHERE condition)"),
    (
        "tsne",
        "pca_fit(features, 2), then pca_transform(features, model)",
    ),
    ("typeof", "arrow_typeof(column)"),
    (
        "umap",
        "pca_fit(features, 2), then pca_transform(features, model)",
    ),
    ("unbase64", "decode(text, 'base64')"),
    ("unhex", "decode(text, 'hex')"),
    ("unix_timestamp", "to_unixtime(time)"),
    ("variance", "var_samp(column), or var_pop(column)"),
    ("vector_norm", "sqrt(inner_product(a, a))"),
    ("vector_to_array", "the column as it is: features are lists"),
    ("vectorize", FEATURES),
    ("vgg", "featurize(content, 'vgg16')"),
    ("width", "image_info(content)['width']"),
    ("xxhash64", "md5(text), or sha256(content)"),
    ("year", "date_part('year', time)"),
];

/// What to write for the function that other engines call so.
pub fn function(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let known = FUNCTIONS.binary_search_by_key(&name.as_str(), |(other, _)| other);
    known
        .ok()
        .and_then(|at| FUNCTIONS.get(at))
        .map(|(_, here)| *here)
}

/// What to write for the table function that other engines call so.
pub(super) fn table_function(name: &str) -> Option<String> {
    let format = match name.to_ascii_lowercase().as_str() {
        "read_parquet" | "parquet_scan" | "scan_parquet" => "parquet",
        "read_csv" | "read_csv_auto" | "scan_csv" => "csv",
        "read_json" | "read_json_auto" | "read_ndjson" => "json",
        "read_files" | "read_blob" | "read_binary" | "glob" => {
            return Some(
                "write CREATE EXTERNAL TABLE images STORED AS BINARYFILE LOCATION '…/*.jpg'"
                    .to_owned(),
            );
        }
        _ => return None,
    };
    let upper = format.to_ascii_uppercase();
    Some(format!(
        "write FROM 'file.{format}', or of a folder CREATE EXTERNAL TABLE t STORED AS {upper} LOCATION 'folder/'"
    ))
}

/// Options of files in Spark, pandas and DuckDB, and what to write for them.
const OPTIONS: [(&str, &str); 8] = [
    ("delim", "write 'format.delimiter' ';'"),
    ("header", "write 'format.has_header' 'true'"),
    ("mode", "write 'write_mode' 'overwrite'"),
    ("multiline", "write 'format.newlines_in_values' 'true'"),
    ("nullvalue", "write 'format.null_value' ''"),
    ("quotechar", "write 'format.quote' '\"'"),
    ("region", "write 'aws.region' 'eu-west-3'"),
    ("sep", "write 'format.delimiter' ';'"),
];

/// What to write for the option that other engines call so.
pub(super) fn option(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let known = OPTIONS.iter().find(|(other, _)| *other == name);
    known.map(|(_, here)| *here)
}

/// What an error says of a statement that other engines have, and what to write for it.
const STATEMENTS: &[(&str, &str)] = &[
    (
        "Temporary views not supported",
        "leave out TEMP: every view ends with the session",
    ),
    (
        "Temporary tables not supported",
        "leave out TEMP: CREATE TABLE … AS keeps its rows in memory, and ends with the session",
    ),
    ("LATERAL VIEWS", "write SELECT unnest(list) FROM t"),
    ("not implemented: TOP", "write LIMIT at the end"),
    (
        "SQL statement: CACHE TABLE",
        "CREATE TABLE … AS SELECT keeps its rows in memory",
    ),
    (
        "SQL statement: SHOW DATABASES",
        "SHOW TABLES lists tables and their schemas",
    ),
    (
        "SQL statement: SHOW SCHEMAS",
        "SHOW TABLES lists tables and their schemas",
    ),
    (
        "SQL statement: USE ",
        "name tables with their schema: schema.t",
    ),
    (
        "SQL statement: INSTALL",
        "nothing has to be installed: s3://, gs:// and http:// are read as they are",
    ),
    (
        "SQL statement: LOAD",
        "nothing has to be loaded: s3://, gs:// and http:// are read as they are",
    ),
    (
        "SQL statement: PRAGMA",
        "SHOW ALL lists the settings, SET changes one",
    ),
    (
        "SQL statement: ATTACH",
        "CREATE EXTERNAL TABLE reads files and folders",
    ),
    (
        "found: USING",
        "write STORED AS: CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'folder/'; for a sample ORDER BY \
         random() LIMIT 5",
    ),
    (
        "whilst inferring schema",
        "the columns cannot be found out from the file: name the columns, CREATE EXTERNAL TABLE t (a \
         BIGINT, b VARCHAR) …",
    ),
    (
        "an SQL statement, found: \\ at",
        "commands with a backslash are for the prompt: SHOW TABLES, or DESCRIBE t",
    ),
    (
        "an expression, found: -> at",
        "a distance is array_distance(a, b) or cosine_distance(a, b)",
    ),
    (
        "array_element does not support type Utf8",
        "a part of a text is split_part(path, '/', -1)",
    ),
    (
        "Expected: HEADER, found: (",
        "formats and options come last: STORED AS CSV OPTIONS ('format.has_header' 'true')",
    ),
    (
        "TABLESAMPLE",
        "a sample is WHERE random() < 0.1, or ORDER BY random() LIMIT 5",
    ),
    (
        "no registered file format with ext",
        "name the format: STORED AS PARQUET, CSV, JSON or ARROW",
    ),
    ("found: SUMMARIZE", "DESCRIBE t shows the columns"),
    (
        "end of statement or ;, found: (",
        "formats and options come last: STORED AS CSV OPTIONS ('format.has_header' 'true')",
    ),
    (
        "Expected a Map type, got List",
        "of a list write list[1], or list[-1] for the last item",
    ),
    (
        "Dot access not supported",
        "a part of a struct stands in brackets: image_info(content)['width']",
    ),
    (
        "in sqltorel: RLike",
        "write path ~ 'pattern', or regexp_like(path, 'pattern')",
    ),
    (
        "input_file_name() is source dependent",
        "a BINARYFILE table has the column path",
    ),
    (
        "invalid utf-8 sequence",
        "bytes are no text: a BINARYFILE table counts them in the column length, and encode(content, 'hex') \
         shows them",
    ),
    ("No files found at", PICTURES),
];

/// What to write where an error says this.
pub(super) fn statement(error: &str) -> Option<&'static str> {
    STATEMENTS
        .iter()
        .find_map(|(message, here)| error.contains(message).then_some(*here))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    /// Words before a parenthesis that are no functions.
    const SYNTAX: [&str; 3] = ["OVER", "unnest", "count"];

    #[test]
    fn what_is_named_exists_and_what_is_asked_for_does_not() {
        let ctx = SessionContext::new();
        crate::enable_featurize(&ctx).unwrap();
        let state = ctx.state();
        let exists = |name: &str| {
            state.scalar_functions().contains_key(name)
                || state.aggregate_functions().contains_key(name)
                || state.window_functions().contains_key(name)
        };
        for (other, here) in FUNCTIONS {
            assert!(!exists(other), "{other} is a function here");
            for (before, _) in here.match_indices('(').map(|(at, _)| here.split_at(at)) {
                let name = before
                    .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
                    .next();
                let name = name.unwrap();
                let known = exists(name) || SYNTAX.contains(&name.trim_end());
                assert!(
                    known || before.ends_with(' '),
                    "{other}: {name} does not exist"
                );
            }
        }
        let sorted = FUNCTIONS.is_sorted_by_key(|(other, _)| other);
        assert!(sorted, "the functions are in order, each once");
    }
}
