//! Secrets in SQL: `***` stands for them wherever a statement is kept.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_featurize::sql::script::{self, Offsets};

/// What is kept in the place of a secret.
const MASK: &str = "***";

/// Prefixes of options of stores.
const STORES: [&str; 6] = ["aws.", "gcp.", "google.", "azure.", "az.", "fs."];

/// Options of stores that say where they are and not who asks. All others are secrets, mistyped ones too.
const OPEN: [&str; 8] = [
    "region",
    "endpoint",
    "allow_http",
    "skip_signature",
    "request_payer",
    "virtual_hosted_style_request",
    "service_account_path",
    "application_credentials_path",
];

/// Parts of the names of other options, and of web addresses, that are secrets.
const WORDS: [&str; 6] = ["secret", "password", "token", "passphrase", "_key", "sig"];

/// The statement as it may be kept: without the values of options that are secrets, and without user
/// names, passwords and signatures in addresses.
pub(crate) fn hidden(sql: &str, dialect: &dyn Dialect) -> String {
    let mut kept = sql.to_owned();
    for (place, mask) in secrets(sql, dialect).into_iter().rev() {
        kept.replace_range(place, mask);
    }
    kept
}

/// Whether the statement was kept without its secrets, and cannot be run as it is.
pub(crate) fn lacks_secrets(sql: &str, dialect: &dyn Dialect) -> bool {
    let mut secrets = secrets(sql, dialect).into_iter();
    secrets.any(|(place, mask)| &sql[place] == mask)
}

/// Tokens without a space between them, as `'aws.region'` and `aws.region` both are.
struct Piece<'a> {
    place: Range<usize>,
    text: &'a str,
    /// `,`, `(`, `)`, `;` or `=`.
    is_mark: bool,
}

impl Piece<'_> {
    fn is_quoted(&self) -> bool {
        self.text.ends_with(['\'', '"', '$'])
    }
}

/// Where secrets are, in order, and what is to stand for them.
fn secrets(sql: &str, dialect: &dyn Dialect) -> Vec<(Range<usize>, &'static str)> {
    let (pieces, rest) = pieces(sql, dialect);
    let mut found = vec![];
    // Whether the pieces are between the parentheses of OPTIONS.
    let mut in_options = false;
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        let next = &pieces[at + 1..];
        in_options = match piece.text {
            ")" | ";" => false,
            "(" => in_options || at > 0 && pieces[at - 1].text.eq_ignore_ascii_case("OPTIONS"),
            _ => in_options,
        };
        at += 1;
        if piece.is_mark {
            continue;
        }
        let Some(secrecy) = secrecy(piece.text) else {
            found.extend(in_address(piece));
            continue;
        };
        // A comma or an equals sign is a mistake here, which makes the value no less secret.
        let marks = next.iter().take_while(|p| [",", "="].contains(&p.text));
        let marks = marks.count();
        let values = next.iter().skip(marks).take_while(|piece| !piece.is_mark);
        let values: Vec<&Piece<'_>> = values.collect();
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            continue;
        };
        let is_value = match secrecy {
            _ if in_options => true,
            Secrecy::OfStore => piece.is_quoted() || first.is_quoted(),
            // `token = 'x'` is a predicate.
            Secrecy::ByName => piece.is_quoted() && marks == 0,
        };
        if is_value {
            found.push((first.place.start..last.place.end, "'***'"));
            at += marks + values.len();
        }
    }
    // What the tokenizer does not understand may be one too.
    let last = pieces.last().map(|piece| secrecy(piece.text));
    if rest < sql.len() && (last.flatten().is_some() || has_word(&sql[rest..])) {
        found.push((rest..sql.len(), "'***'"));
    }
    found
}

/// The pieces of a statement, and where the tokenizer has given up.
fn pieces<'a>(sql: &'a str, dialect: &dyn Dialect) -> (Vec<Piece<'a>>, usize) {
    let (tokens, error) = script::tokens(sql, dialect);
    let mut offsets = Offsets::new(sql);
    let mut pieces: Vec<Piece<'a>> = vec![];
    let mut done = 0;
    for token in tokens {
        let place = offsets.of(token.span.start)..offsets.of(token.span.end);
        done = place.end;
        let is_mark = match token.token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::Comma | Token::LParen | Token::RParen | Token::SemiColon | Token::Eq => true,
            _ => false,
        };
        match pieces.last_mut() {
            Some(last) if !last.is_mark && !is_mark && last.place.end == place.start => {
                last.place.end = place.end;
                last.text = &sql[last.place.clone()];
            }
            _ => pieces.push(Piece {
                text: &sql[place.clone()],
                place,
                is_mark,
            }),
        }
    }
    (pieces, if error.is_some() { done } else { sql.len() })
}

/// Why the value of an option is a secret.
enum Secrecy {
    OfStore,
    ByName,
}

fn secrecy(option: &str) -> Option<Secrecy> {
    let name = option.trim_matches(['\'', '"']).to_ascii_lowercase();
    match STORES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        Some(name) if OPEN.contains(&name) => None,
        Some(_) => Some(Secrecy::OfStore),
        None if name.contains([' ', '/']) => None,
        None => has_word(&name).then_some(Secrecy::ByName),
    }
}

fn has_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|word| text.contains(word))
}

/// The secrets of an address: what is before `@`, and a query with a signature.
fn in_address(piece: &Piece<'_>) -> Vec<(Range<usize>, &'static str)> {
    let mut found = vec![];
    let Some(scheme) = piece.text.find("://").filter(|_| piece.is_quoted()) else {
        return found;
    };
    let (start, end) = (scheme + 3, piece.text.len() - 1);
    let authority = piece.text[start..end].find(['/', '?']);
    let authority = start..authority.map_or(end, |length| start + length);
    if let Some(user) = piece.text[authority].rfind('@') {
        found.push((start..start + user, MASK));
    }
    if let Some(mark) = piece.text[start..end].find('?') {
        let query = start + mark + 1..end;
        let text = &piece.text[query.clone()];
        if has_word(text) || text == MASK {
            found.push((query, MASK));
        }
    }
    let offset = piece.place.start;
    let moved = |(place, mask): (Range<usize>, _)| (place.start + offset..place.end + offset, mask);
    found.into_iter().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use proptest::prelude::*;

    use super::*;

    fn kept(sql: &str) -> String {
        let kept = hidden(sql, &GenericDialect {});
        assert_eq!(
            lacks_secrets(&kept, &GenericDialect {}),
            kept != sql,
            "{kept}"
        );
        assert_eq!(hidden(&kept, &GenericDialect {}), kept);
        kept
    }

    #[test]
    fn values_of_secret_options_are_not_kept() {
        for (options, expected) in [
            (
                "'aws.access_key_id' 'hush', 'aws.secret_access_key' 'hush/+=', 'aws.region' 'x'",
                "'aws.access_key_id' '***', 'aws.secret_access_key' '***', 'aws.region' 'x'",
            ),
            ("AWS.SESSION_TOKEN 'hush'", "AWS.SESSION_TOKEN '***'"),
            ("aws.session_token hush/hush", "aws.session_token '***'"),
            (
                "'aws.secret_acess_kye' 'hush'",
                "'aws.secret_acess_kye' '***'",
            ),
            ("'aws.session_token', 'hush'", "'aws.session_token', '***'"),
            (
                "'aws.session_token' = 'hush'",
                "'aws.session_token' = '***'",
            ),
            (
                "'aws.session_token' E'hu''sh' 'hush'",
                "'aws.session_token' '***'",
            ),
            (
                "'format.crypto.footer_key' 'hush'",
                "'format.crypto.footer_key' '***'",
            ),
            ("'password' hush, 'x' 'y'", "'password' '***', 'x' 'y'"),
            ("'aws.session_token' 'hush", "'aws.session_token' '***'"),
        ] {
            let sql = format!(
                "CREATE EXTERNAL TABLE é STORED AS CSV LOCATION 's3://b/' OPTIONS ({options}"
            );
            let expected = sql.replace(options, expected);
            assert_eq!(kept(&sql), expected);
        }
        // Without what is around it, as of a statement that was kept line by line.
        assert_eq!(
            kept("'aws.session_token' 'hush',"),
            "'aws.session_token' '***',"
        );
    }

    #[test]
    fn addresses_are_kept_without_their_secrets() {
        for (address, expected) in [
            ("https://me:hush@host/a?b=c", "https://***@host/a?b=c"),
            (
                "https://host/a.csv?X-Amz-Signature=hush",
                "https://host/a.csv?***",
            ),
            ("s3://b/me@home/a?b/*.jpg", "s3://b/me@home/a?b/*.jpg"),
        ] {
            let sql = format!("SELECT * FROM '{address}'");
            assert_eq!(kept(&sql), format!("SELECT * FROM '{expected}'"));
        }
    }

    #[test]
    fn all_else_is_kept_as_it_is() {
        for sql in [
            "SELECT key, token tok, password \"p\" FROM t WHERE token = 'x' AND t.secret = 'y'",
            "SELECT aws.id FROM aws WHERE aws.id > 5",
            "CREATE EXTERNAL TABLE t STORED AS BINARYFILE LOCATION 's3://b/T*/' OPTIONS \
             ('aws.region' 'eu-west-3', 'aws.skip_signature' 'true', 'pathGlobFilter' '*.jpg')",
            "SET featurize.model = 'vgg16'",
            "\\i it's.sql",
        ] {
            assert_eq!(kept(sql), sql);
        }
    }

    proptest! {
        #[test]
        fn no_statement_keeps_a_secret(before in "[ -~é\n]{0,40}", secret in "[a-zA-Z0-9/+]{8,20}") {
            prop_assume!(!before.contains(&secret));
            // What opens a text or a comment would make the option a part of it.
            let before = before.replace(['\'', '"', '-', '/', '*', '$', '`', '\\'], " ");
            let sql = format!("{before} OPTIONS ('aws.secret_access_key' '{secret}')");
            let kept = hidden(&sql, &GenericDialect {});
            prop_assert!(!kept.contains(&secret), "{}", kept);
        }
    }
}
