//! A scree plot in text (Cattell, "The scree test for the number of factors", Multivariate
//! Behavioral Research 1(2), 1966), for a terminal of 80 columns.

/// Characters of a line: 80 less the frame that a table draws around a value.
const WIDTH: usize = 76;
/// Characters before the bars.
const NUMBERS: usize = 41;
/// Components that are shown from the first on; after them, only those that matter.
const FIRST: usize = 16;
/// The variance at which a line is drawn.
const MARK: f64 = 0.9;
/// What a sum of shares may fall short of the mark by rounding.
const ROUNDING: f64 = 1e-12;
/// Eighths of a character, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar for each component's share in the total variance, with its eigenvalue, its share, and the
/// sum of the shares up to it; and a line below the component with which this reaches 90 %.
///
/// Of many components it shows the first, the one at the line, and the last. No line is longer
/// than 76 characters.
pub(crate) fn plot(eigenvalues: &[f64], ratios: &[f64]) -> String {
    let mut cumulative = 0.0;
    let rows: Vec<Row> = eigenvalues
        .iter()
        .zip(ratios)
        .map(|(eigenvalue, ratio)| {
            cumulative += ratio;
            Row {
                eigenvalue: *eigenvalue,
                ratio: *ratio,
                cumulative,
            }
        })
        .collect();
    let widest = ratios.iter().copied().fold(0.0, f64::max);
    let reached = rows
        .iter()
        .position(|row| row.cumulative >= MARK - ROUNDING);
    let mut text = format!(
        "{:>9}  {:>10}  {:>7}  {:>7}",
        "component", "eigenvalue", "share", "sum"
    );
    let mut hidden = 0;
    for (index, row) in rows.iter().enumerate() {
        let matters = index < FIRST || Some(index) == reached || index + 1 == rows.len();
        if !matters && rows.len() > FIRST + 2 {
            hidden += 1;
            continue;
        }
        if hidden > 0 {
            text += &format!("\n{:>9}  {hidden} more", "…");
            hidden = 0;
        }
        text += &format!("\n{:>9}  {}", index + 1, row.line(widest));
        if Some(index) == reached {
            let noun = if index == 0 {
                "component"
            } else {
                "components"
            };
            text += &ruled(&format!("90 % with {} {noun}", index + 1));
        }
    }
    if reached.is_none() {
        let kept = 100.0 * cumulative;
        text += &ruled(&format!("90 % is not reached: the model keeps {kept:.1} %"));
    }
    text
}

struct Row {
    eigenvalue: f64,
    ratio: f64,
    cumulative: f64,
}

impl Row {
    fn line(&self, widest: f64) -> String {
        let Self {
            eigenvalue,
            ratio,
            cumulative,
        } = self;
        // As many digits as fit, for eigenvalues of any size.
        let eigenvalue = match eigenvalue.abs() {
            0.0 | 0.001..1e6 => format!("{eigenvalue:.3}"),
            _ => format!("{eigenvalue:.3e}"),
        };
        let mut line = format!(
            "{eigenvalue:>10}  {:>5.1} %  {:>5.1} %  ",
            100.0 * ratio,
            100.0 * cumulative
        );
        line += &bar(ratio / widest);
        line.trim_end().to_owned()
    }
}

/// A bar of `share` of the columns that are left.
fn bar(share: f64) -> String {
    // A model of constant columns explains nothing; the cast takes NaN to zero.
    let eighths = (share * ((WIDTH - NUMBERS) * 8) as f64).round() as usize;
    let mut bar = "█".repeat((eighths / 8).min(WIDTH - NUMBERS));
    bar.extend(
        (eighths % 8)
            .checked_sub(1)
            .and_then(|part| EIGHTHS.get(part)),
    );
    bar
}

/// A line of its own across the plot, with words in it.
fn ruled(words: &str) -> String {
    let dashes = WIDTH.saturating_sub(words.chars().count() + 2);
    let before = 11.min(dashes);
    format!(
        "\n{} {words} {}",
        "─".repeat(before),
        "─".repeat(dashes - before)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_of_few_components_shows_all() {
        let text = plot(&[6.0, 3.0, 0.5], &[0.6, 0.3, 0.05]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "component  eigenvalue    share      sum",
                "        1       6.000   60.0 %   60.0 %  ███████████████████████████████████",
                "        2       3.000   30.0 %   90.0 %  █████████████████▌",
                "─────────── 90 % with 2 components ─────────────────────────────────────────",
            ]
        );
        assert_eq!(lines[4], "        3       0.500    5.0 %   95.0 %  ██▉");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_plot_of_many_shows_the_first_the_mark_and_the_last() {
        let ratios = vec![0.001; 1000];
        let text = plot(&vec![1.25e9; 1000], &ratios);
        assert_eq!(text.lines().count(), 1 + 16 + 2 + 1 + 2);
        assert!(text.contains("90 % with 900 components"), "{text}");
        assert!(
            text.contains("…  883 more\n      900     1.250e9"),
            "{text}"
        );
        assert!(text.contains("…  99 more\n     1000"), "{text}");
    }

    #[test]
    fn no_line_is_too_long_and_odd_values_are_harmless() {
        for (eigenvalues, ratios) in [
            (vec![], vec![]),
            (vec![0.0], vec![0.0]),
            (vec![f64::NAN; 3], vec![f64::NAN; 3]),
            (vec![1e300, -1e-17], vec![1.0, 1e-300]),
            (vec![1.0; 30], vec![1.0 / 30.0; 30]),
        ] {
            let text = plot(&eigenvalues, &ratios);
            assert!(
                text.lines().all(|line| line.chars().count() <= WIDTH),
                "{text}"
            );
        }
        let text = plot(&[1.0], &[0.5]);
        assert!(
            text.contains("─ 90 % is not reached: the model keeps 50.0 % ─"),
            "{text}"
        );
    }
}
