//! Tables of the page.

use maud::{Markup, html};

/// A table whose rows begin with their headings.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [Markup; N]>,
) -> Markup {
    html! {
        table {
            thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (column, cell) in row.into_iter().enumerate() {
                            @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// A table that is opened on demand.
pub(super) fn details(summary: &str, intro: &Markup, table: &Markup) -> Markup {
    html! { details { summary { (summary) } (intro) div.scroll tabindex="0" { (table) } } }
}
