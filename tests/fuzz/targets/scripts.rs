//! Scripts of SQL, before anything of them is run.

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion_featurize::sql::script::{clean, decode, missing, split};

use super::Target;

pub(crate) struct Scripts {
    dialects: [Box<dyn Dialect>; 2],
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            dialects: [Box::new(GenericDialect {}), Box::new(PostgreSqlDialect {})],
        }
    }
}

impl Target for Scripts {
    fn seeds(&self) -> Vec<Vec<u8>> {
        [
            &b"#!/usr/bin/env featurize -f\n-- one\rSELECT 1;\r\nSELECT 'a;b''c', \"d\"\"e\", $$f;$$; /* g /* h */ ; */ SELECT 2"[..],
            b"\xEF\xBB\xBFCOPY (SELECT 1) TO '/data/x [2024]/' STORED AS CSV OPTIONS ('write_mode' 'overwrite');\n",
            b"\xFF\xFES\0E\0L\0E\0C\0T\0 \x001\0",
            b"SELECT U&'\\0061', E'\\n', X'00', N'n', 1e5, .5, a::int[], '\xC3\xA9' -- end\r-- again\r\n;;",
        ]
        .map(<[u8]>::to_vec)
        .into()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b";",
            b"--",
            b"\r",
            b"\n",
            b"/*",
            b"*/",
            b"'",
            b"''",
            b"\"",
            b"$$",
            b"$a$",
            b"#!",
            b"\xEF\xBB\xBF",
            b"\\",
            b"U&'",
            b"\xE2\x80\xA8",
            b"\0",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        4096 * input.len() + (1 << 20)
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = match decode(input.to_vec(), "a script") {
            Ok(text) => text,
            Err(error) => return Ok(error.to_string()),
        };
        let mut outcome = String::new();
        for dialect in &self.dialects {
            let cleaned = clean(&text, dialect.as_ref());
            if clean(&cleaned, dialect.as_ref()) != cleaned
                && !cleaned.starts_with(['#', '\u{feff}'])
            {
                return Err("what is clean stays as it is".to_owned());
            }
            let cuts = split(&cleaned, dialect.as_ref());
            let mut from = 0;
            for cut in &cuts {
                // In order, and none overlaps another.
                match cleaned[from..].find(cut.sql) {
                    Some(at) => from += at + cut.sql.len(),
                    None => return Err(format!("{:?} is no part of the script", cut.sql)),
                }
            }
            outcome += &format!(
                "{} {:?} ",
                cuts.len().min(9),
                missing(&cleaned, dialect.as_ref())
            );
        }
        Ok(outcome)
    }
}
