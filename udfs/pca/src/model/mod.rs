//! What a fit returns, as bytes, as text, and applied to rows.

pub(crate) mod cache;
pub(crate) mod container;
pub(crate) mod format;
pub(crate) mod pca;
pub(crate) mod scaler;
pub(crate) mod scree;
pub(crate) mod transform;
