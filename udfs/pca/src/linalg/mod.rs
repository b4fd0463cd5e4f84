//! Products, decompositions and loops on matrices.

pub(crate) mod eigen;
pub(crate) mod elementwise;
pub(crate) mod products;
pub(crate) mod triangle;
