//! Fits of many partitions, merged in a tree.
//!
//! The last step of an aggregate without groups is one task, to which every partition sends its partial fit. For
//! `pca_fit` that is about 4 d² bytes of moments, which are fetched faster than they are merged. Above 16 partitions,
//! as many groups of them as a group has partitions are merged in tasks of their own, and the last one merges what
//! they send.
//!
//! `tree` rewrites the plan; `operator` is what merges a group.

mod operator;
mod tree;

pub(super) use operator::MergeStatesExec;
pub(super) use tree::merge_in_trees;
