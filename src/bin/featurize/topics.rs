//! The statements that `\h` explains, besides those that datafusion-cli does.

use crate::docs::Page;

/// A statement, or a part of one.
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) syntax: &'static str,
    pub(crate) meaning: &'static str,
    /// What is also shown of the documentation.
    pub(crate) pages: &'static [Page],
}

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        name: "BINARYFILE",
        syntax: "\
CREATE EXTERNAL TABLE [ IF NOT EXISTS ] name STORED AS BINARYFILE
LOCATION 'folder, object or glob'
[ PARTITIONED BY ( column [, ...] ) ]
[ OPTIONS ( 'option' 'value' [, ...] ) ]",
        meaning: "A row for each object, such as the images of a bucket.",
        pages: &[Page::Table],
    },
    Statement {
        name: "CREATE EXTERNAL TABLE",
        syntax: "\
CREATE [ OR REPLACE ] EXTERNAL TABLE [ IF NOT EXISTS ] name
[ ( column type [, ...] ) ]
STORED AS { BINARYFILE | PARQUET | CSV | JSON | ARROW | AVRO }
[ PARTITIONED BY ( column [, ...] ) ]
LOCATION 'place'
[ OPTIONS ( 'option' 'value' [, ...] ) ]",
        meaning: "Names what lies at a place, on disk (~/ is the home folder) or in a store. Columns are found \
            out from the files unless they are given. \\h BINARYFILE explains tables of images, \\h COPY the \
            options of tables that are inserted into, \\h S3 those that say how a bucket is reached.",
        pages: &[],
    },
    Statement {
        name: "COPY",
        syntax: "\
COPY { table | ( query ) } TO 'place'
[ STORED AS { PARQUET | CSV | JSON | ARROW } ]
[ PARTITIONED BY ( column [, ...] ) ]
[ OPTIONS ( 'option' 'value' [, ...] ) ]",
        meaning: "Writes the result of a query to a file if the place has an ending such as .parquet, and else to \
            a folder.",
        pages: &[Page::Writing],
    },
    Statement {
        name: "S3",
        syntax: "OPTIONS ( 'aws.region' 'eu-west-3' [, ...] )",
        meaning: "How a bucket is reached, in CREATE EXTERNAL TABLE and COPY.",
        pages: &[Page::Credentials],
    },
    Statement {
        name: "CREATE TABLE",
        syntax: "CREATE [ OR REPLACE ] TABLE [ IF NOT EXISTS ] name AS query",
        meaning: "Runs a query and keeps its rows in memory until the session ends. CREATE TABLE name \
            ( column type [, ...] ) makes an empty table, for INSERT.",
        pages: &[],
    },
    Statement {
        name: "INSERT",
        syntax: "\
INSERT { INTO | OVERWRITE } table [ ( column [, ...] ) ]
{ query | VALUES ( value [, ...] ) [, ...] }",
        meaning: "Adds rows to a table in memory, or files to the folder of a Parquet or CSV table. OVERWRITE \
            replaces the files that are there. \\h COPY has the options, which CREATE EXTERNAL TABLE takes.",
        pages: &[],
    },
    Statement {
        name: "UPDATE",
        syntax: "UPDATE table SET column = value [, ...] [ WHERE condition ]",
        meaning: "Changes rows of a table in memory.",
        pages: &[],
    },
    Statement {
        name: "DELETE",
        syntax: "DELETE FROM table [ WHERE condition ]",
        meaning: "Removes rows of a table in memory.",
        pages: &[],
    },
    Statement {
        name: "PREPARE",
        syntax: "\
PREPARE name AS query
EXECUTE name ( value [, ...] )
DEALLOCATE name",
        meaning: "Keeps a query with $1, $2, … in it, runs it with values for them, and forgets it.",
        pages: &[],
    },
    Statement {
        name: "CREATE VIEW",
        syntax: "CREATE [ OR REPLACE ] VIEW [ IF NOT EXISTS ] name AS query",
        meaning: "Gives a query a name. It runs whenever the name is used.",
        pages: &[],
    },
    Statement {
        name: "DROP VIEW",
        syntax: "DROP VIEW [ IF EXISTS ] name",
        meaning: "Forgets a view.",
        pages: &[],
    },
    Statement {
        name: "DESCRIBE",
        syntax: "DESCRIBE { table | query }",
        meaning: "The columns of a table or query, and their types.",
        pages: &[],
    },
    Statement {
        name: "SET",
        syntax: "SET setting = value",
        meaning: "Changes a setting for the session, such as SET featurize.model = 'mobilenet_v2'. SHOW ALL \
            lists the settings, and so does Tab after SET.",
        pages: &[],
    },
    Statement {
        name: "RESET",
        syntax: "RESET setting",
        meaning: "Gives a setting its default back.",
        pages: &[],
    },
    Statement {
        name: "SHOW",
        syntax: "\
SHOW { ALL | setting }
SHOW TABLES
SHOW COLUMNS FROM table
SHOW CREATE TABLE table
SHOW FUNCTIONS [ LIKE 'pattern' ]",
        meaning: "Settings with their values, tables, the columns of one, how it was made, functions.",
        pages: &[],
    },
];
