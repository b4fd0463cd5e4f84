//! The three ways in install the same things.

use std::collections::BTreeSet;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_featurize::{
    SessionStateBuilderFeaturize, all_default_aggregate_functions, all_default_scalar_functions,
    enable_featurize, register_all,
};

/// Names of the extension's functions that a session has.
fn ours(state: &SessionState) -> BTreeSet<String> {
    let stock = SessionContext::new().state();
    let scalar = state.scalar_functions().keys();
    let aggregate = state.aggregate_functions().keys();
    scalar
        .filter(|name| !stock.scalar_functions().contains_key(*name))
        .chain(aggregate.filter(|name| !stock.aggregate_functions().contains_key(*name)))
        .cloned()
        .collect()
}

fn has_tables_and_settings(state: &SessionState) -> bool {
    state.table_factories().contains_key("BINARYFILE")
        && state
            .config()
            .options()
            .extensions
            .iter()
            .any(|(prefix, _)| prefix == "featurize")
}

#[tokio::test]
async fn three_ways_in_one_list() {
    let built = SessionStateBuilder::new()
        .with_default_features()
        .with_featurize()
        .build();
    let enabled = SessionContext::new();
    enable_featurize(&enabled).unwrap();
    let mut registered = SessionContext::new().state();
    register_all(&mut registered).unwrap();

    let names = ours(&built);
    for name in [
        "featurize",
        "try_featurize",
        "image_info",
        "image_hash",
        "thumbnail",
        "pca_fit",
        "pca_transform",
        "pca_n_components",
        "pca_n_samples",
        "pca_explained_variance",
        "pca_explained_variance_ratio",
        "pca_components",
        "pca_mean",
        "pca_scale",
    ] {
        assert!(names.contains(name), "{name} is not registered");
    }
    assert_eq!(ours(&enabled.state()), names);
    assert_eq!(ours(&registered), names);
    assert!(has_tables_and_settings(&built));
    assert!(has_tables_and_settings(&enabled.state()));
    // What DataFusion brings is still there.
    for name in ["split_part", "array_length"] {
        assert!(
            built.scalar_functions().contains_key(name),
            "{name} is gone"
        );
    }
    assert!(built.aggregate_functions().contains_key("sum"));
}

#[tokio::test]
async fn enabling_twice_keeps_the_settings() {
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    ctx.sql("SET featurize.weights = 'seeded'").await.unwrap();
    enable_featurize(&ctx).unwrap();
    let entries = ctx.copied_config().options().entries();
    let weights = entries
        .iter()
        .find(|entry| entry.key == "featurize.weights");
    assert_eq!(weights.unwrap().value.as_deref(), Some("seeded"));
}

#[test]
fn every_function_is_documented_and_no_name_occurs_twice() {
    let mut seen = BTreeSet::new();
    for function in all_default_scalar_functions() {
        let documented = function.documentation().is_some();
        assert!(documented, "{} has no documentation", function.name());
        for name in function
            .aliases()
            .iter()
            .chain([&function.name().to_owned()])
        {
            assert!(seen.insert(name.clone()), "{name} occurs twice");
        }
    }
    for function in all_default_aggregate_functions() {
        let documented = function.documentation().is_some();
        assert!(documented, "{} has no documentation", function.name());
        assert!(seen.insert(function.name().to_owned()));
    }
}

/// What does not fit in memory goes where the session says, or nowhere.
#[tokio::test]
async fn pca_fit_writes_to_the_disk_of_the_session() {
    let runtime = || {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let builder = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
        builder.build_arc().unwrap()
    };
    let built = SessionStateBuilder::new()
        .with_runtime_env(runtime())
        .with_default_features()
        .with_featurize()
        .build();
    let enabled = SessionContext::new_with_config_rt(SessionConfig::new(), runtime());
    enable_featurize(&enabled).unwrap();
    for ctx in [SessionContext::new_with_state(built), enabled] {
        let fit = "SELECT pca_fit(array_repeat(i * 1.0, 300), 1, true, 'scikit-learn', '600K') \
                   FROM generate_series(1, 400) AS t(i)";
        let error = ctx.sql(fit).await.unwrap().collect().await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("DiskManager is disabled"), "{error}");
    }
}

#[tokio::test]
async fn batches_are_small_unless_the_session_says_otherwise() {
    let rows = |ctx: &SessionContext| ctx.copied_config().batch_size();
    let ctx = SessionContext::new();
    enable_featurize(&ctx).unwrap();
    assert_eq!(rows(&ctx), 256);
    let built = SessionStateBuilder::new().with_default_features();
    let ctx = SessionContext::new_with_state(built.with_featurize().build());
    assert_eq!(rows(&ctx), 256);

    let ctx = SessionContext::new_with_config(SessionConfig::new().with_batch_size(1000));
    enable_featurize(&ctx).unwrap();
    assert_eq!(rows(&ctx), 1000);
    ctx.sql("SET datafusion.execution.batch_size = 8192")
        .await
        .unwrap();
    assert_eq!(rows(&ctx), 8192);
    enable_featurize(&ctx).unwrap();
    assert_eq!(rows(&ctx), 8192);
}
