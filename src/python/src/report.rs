//! The report on a table of features.

use datafusion_featurize::report;
use pyo3::prelude::*;

/// One page of HTML about a table of features: a notebook shows it, `html` is its text.
#[pyclass(frozen, module = "datafusion_featurize")]
pub(crate) struct Report(report::Report);

impl Report {
    pub(crate) fn new(report: report::Report) -> Self {
        Self(report)
    }
}

#[pymethods]
impl Report {
    /// The page, which needs nothing else.
    #[getter]
    fn html(&self) -> &str {
        &self.0.html
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }

    /// A frame of its own, so that neither the page nor the notebook changes how the other looks.
    fn _repr_html_(&self) -> String {
        let page = self.0.html.replace('&', "&amp;").replace('"', "&quot;");
        format!(
            "<iframe srcdoc=\"{page}\" style=\"width: 100%; height: 80vh; border: 0\"></iframe>"
        )
    }
}
