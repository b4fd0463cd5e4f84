//! Results as people read them: tables that fit the screen, vectors and images in a few words.

mod plan;
mod shorten;
mod table;

pub use self::plan::wrapped_plan;
pub use self::shorten::nested_to_text;
pub use self::table::{condensed, condensed_schema, fitted, width};
