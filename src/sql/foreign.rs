//! What people of other engines call what there is here.

/// Functions of Spark, DuckDB, Polars and pandas, and what to write for them.
const FUNCTIONS: &[(&str, &str)] = &[
    (
        "aggregate",
        "array_sum(list), or unnest(list) in a subquery",
    ),
    ("approx_count_distinct", "approx_distinct(column)"),
    ("array_cosine_distance", "cosine_distance(a, b)"),
    ("array_cosine_similarity", "1 - cosine_distance(a, b)"),
    ("array_inner_product", "inner_product(a, b)"),
    ("array_mean", "array_avg(list)"),
    ("array_size", "array_length(list)"),
    ("base64", "encode(content, 'base64')"),
    ("basename", "split_part(path, '/', -1)"),
    ("char", "chr(code)"),
    ("collect_list", "array_agg(column)"),
    ("collect_set", "array_agg(DISTINCT column)"),
    ("cosine_similarity", "1 - cosine_distance(a, b)"),
    ("count_distinct", "count(DISTINCT column)"),
    ("countdistinct", "count(DISTINCT column)"),
    ("dayofmonth", "date_part('day', time)"),
    ("element", "list[1], or list[-1] for the last"),
    ("euclidean_distance", "array_distance(a, b)"),
    ("explode", "unnest(list)"),
    ("explode_outer", "unnest(list)"),
    ("first", "first_value(column ORDER BY other)"),
    ("get", "list[1]: the first item has number 1"),
    ("hex", "encode(content, 'hex')"),
    ("hour", "date_part('hour', time)"),
    ("if", "CASE WHEN condition THEN a ELSE b END"),
    ("iff", "CASE WHEN condition THEN a ELSE b END"),
    ("isnotnull", "column IS NOT NULL"),
    ("isnull", "column IS NULL"),
    ("l2_distance", "array_distance(a, b)"),
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
    ("locate", "strpos(text, part)"),
    ("mode", "count(*) with GROUP BY and ORDER BY"),
    ("monotonically_increasing_id", "row_number() OVER ()"),
    ("month", "date_part('month', time)"),
    ("parse_dirname", "split_part(path, '/', -2)"),
    ("parse_filename", "split_part(path, '/', -1)"),
    ("parse_path", "string_to_array(path, '/')"),
    (
        "pca",
        "pca_fit(features, 0.9), then pca_transform(features, model)",
    ),
    ("percentile", "percentile_cont(column, 0.5)"),
    ("percentile_approx", "approx_percentile_cont(column, 0.5)"),
    ("posexplode", "unnest(list)"),
    ("quantile", "percentile_cont(column, 0.5)"),
    ("regexp_extract", "regexp_match(text, pattern)[1]"),
    ("regexp_extract_all", "regexp_match(text, pattern)"),
    ("regexp_matches", "regexp_like(text, pattern)"),
    (
        "sequence",
        "range(first, last + 1), or generate_series(first, last)",
    ),
    ("size", "array_length(list), or length(text)"),
    (
        "slice",
        "array_slice(list, first, last), or list[first:last]",
    ),
    (
        "split",
        "split_part(path, '/', -2) for one part, or string_to_array(path, '/')",
    ),
    (
        "standard_scaler",
        "scaler_fit(features), then scaler_transform(features, scaler)",
    ),
    (
        "standardscaler",
        "scaler_fit(features), then scaler_transform(features, scaler)",
    ),
    (
        "str_split",
        "split_part(path, '/', -2) for one part, or string_to_array(path, '/')",
    ),
    ("strftime", "to_char(time, '%Y-%m-%d')"),
    (
        "string_split",
        "split_part(path, '/', -2) for one part, or string_to_array(path, '/')",
    ),
    ("strptime", "to_timestamp(text, '%Y-%m-%d')"),
    ("struct_pack", "named_struct('name', value)"),
    ("typeof", "arrow_typeof(column)"),
    ("unbase64", "decode(text, 'base64')"),
    ("unhex", "decode(text, 'hex')"),
    ("unix_timestamp", "to_unixtime(time)"),
    ("variance", "var_samp(column), or var_pop(column)"),
    ("vector_to_array", "the column as it is: features are lists"),
    ("year", "date_part('year', time)"),
];

/// What to write for the function that other engines call so.
pub fn function(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    FUNCTIONS
        .iter()
        .find_map(|(other, here)| (*other == name).then_some(*here))
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
        "write STORED AS: CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'folder/'",
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
        "input_file_name() is source dependent",
        "a BINARYFILE table has the column path",
    ),
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
