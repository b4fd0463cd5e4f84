-- Bad images do not stop a night's run: the good ones give features, the bad ones a ledger of what
-- is wrong with them. Runs offline, from the repository's root:
--
--     cargo run -- -f examples/error_ledger.sql

SET featurize.weights = 'seeded';

CREATE EXTERNAL TABLE images STORED AS BINARYFILE
LOCATION 'examples/fruits/'
OPTIONS ('recursiveFileLookup' 'true');

COPY (
    SELECT path, features
    FROM (SELECT path, try_featurize(content, 'mobilenet_v2') AS features FROM images)
    WHERE features IS NOT NULL
)
TO 'target/error_ledger/features/' STORED AS PARQUET OPTIONS ('write_mode' 'overwrite');

CREATE EXTERNAL TABLE features STORED AS PARQUET LOCATION 'target/error_ledger/features/';

-- Only what gave no features is decoded once more.
CREATE TABLE bad_images AS
SELECT path FROM images WHERE path NOT IN (SELECT path FROM features);

-- num_files makes it one file, which is there even if nothing is wrong.
COPY (
    SELECT path, length, image_info(content)['error'] AS reason
    FROM images
    WHERE path IN (SELECT path FROM bad_images)
)
TO 'target/error_ledger/errors/' STORED AS CSV
OPTIONS ('write_mode' 'overwrite', 'num_files' 1, 'format.has_header' 'true');

CREATE EXTERNAL TABLE errors (path VARCHAR, length BIGINT, reason VARCHAR)
STORED AS CSV LOCATION 'target/error_ledger/errors/' OPTIONS ('format.has_header' 'true');

SELECT (SELECT count(*) FROM images) AS images,
       (SELECT count(*) FROM features) AS good,
       (SELECT count(*) FROM errors) AS bad;
