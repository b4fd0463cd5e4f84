//! All functions together.

#[test]
fn every_function_is_documented_and_named_once() {
    let scalar = datafusion_functions_pca::all_default_scalar_functions();
    let aggregate = datafusion_functions_pca::all_default_aggregate_functions();
    let mut names: Vec<String> = scalar.iter().map(|f| f.name().to_string()).collect();
    names.extend(aggregate.iter().map(|f| f.name().to_string()));
    let total = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), total);
    let docs = scalar.iter().map(|f| f.documentation());
    for doc in docs.chain(aggregate.iter().map(|f| f.documentation())) {
        let doc = doc.expect("documented");
        assert_eq!(doc.doc_section.label, "PCA Functions");
        assert!(doc.sql_example.is_some());
    }
}
