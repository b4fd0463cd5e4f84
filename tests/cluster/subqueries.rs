//! Scalar subqueries, wherever a query may have them: the values are those of the local engine.

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::SessionContext;

use crate::processes::{Cluster, create_images, error, local, run};

/// A subquery in every part of a query. All give their rows in order.
const PLACES: [&str; 14] = [
    "SELECT sum(pca_transform(v, (SELECT p FROM m))[1]) < 1e-6 AS centred FROM t",
    "SELECT max(length - (SELECT min(length) FROM t)) AS range FROM t",
    "SELECT length + (SELECT min(length) FROM t) AS n FROM t ORDER BY path",
    "SELECT length FROM t WHERE length >= (SELECT avg(length) FROM t) ORDER BY path",
    "SELECT count(*) AS n FROM t GROUP BY length > (SELECT avg(length) FROM t) ORDER BY n",
    "SELECT label, count(*) FILTER (WHERE length > (SELECT avg(length) FROM t)) AS n
     FROM t GROUP BY label ORDER BY label",
    "SELECT label FROM t GROUP BY label HAVING max(length) >= (SELECT max(length) FROM t) ORDER BY label",
    "SELECT path FROM t ORDER BY abs(length - (SELECT avg(length) FROM t)), path",
    "SELECT path, sum(length - (SELECT min(length) FROM t)) OVER (PARTITION BY label ORDER BY path) AS s
     FROM t ORDER BY path",
    "SELECT CASE WHEN length > (SELECT avg(length) FROM t) THEN (SELECT max(length) FROM t)
            ELSE 0 END AS n FROM t ORDER BY path",
    "SELECT count(*) AS n FROM t JOIN (SELECT DISTINCT label AS l FROM t) ON label = l
     AND length > (SELECT avg(length) FROM t)",
    // A subquery in a subquery, one without rows, and one that needs the rows around it.
    "SELECT sum(length - (SELECT min(length) FROM t WHERE length > (SELECT avg(length) FROM t))) AS s FROM t",
    "SELECT count((SELECT max(length) FROM t WHERE length < 0)) AS none FROM t",
    "SELECT path, (SELECT max(u.length) FROM t AS u WHERE u.label = t.label) AS most FROM t ORDER BY path",
];

async fn create(ctx: &SessionContext) {
    create_images(ctx).await;
    for sql in [
        "CREATE TABLE t AS SELECT path, split_part(path, '/', -2) AS label, length,
                [length::FLOAT, (length % 97)::FLOAT, (length % 89)::FLOAT] AS v FROM images",
        "CREATE TABLE m AS SELECT pca_fit(v, 2) AS p FROM t",
    ] {
        run(ctx, sql).await;
    }
}

async fn text(ctx: &SessionContext, sql: &str) -> String {
    pretty_format_batches(&[run(ctx, sql).await])
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn their_values_are_those_of_the_local_engine() {
    let cluster = Cluster::start();
    let (remote, local) = (cluster.session().await, local());
    create(&remote).await;
    create(&local).await;
    for sql in PLACES {
        assert_eq!(text(&remote, sql).await, text(&local, sql).await, "{sql}");
    }
    // A join with the rows of the subquery would give each row twice.
    let two = "SELECT path, (SELECT length FROM t LIMIT 2) AS n FROM t";
    for ctx in [&remote, &local] {
        let error = error(ctx, two).await;
        assert!(error.contains("more than one row"), "{error}");
    }
    let [aggregate, ..] = PLACES;
    let error = error(&remote, &format!("EXPLAIN {aggregate}")).await;
    assert!(error.contains("explain each by itself"), "{error}");
}
