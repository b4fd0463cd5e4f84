-- A job that may be killed at any moment and goes on where it stopped. Runs offline, from the
-- repository's root; run it as often as you like:
--
--     cargo run -- -f examples/resume.sql

SET featurize.weights = 'seeded';

-- What has been computed becomes visible and durable every so many rows of a partition. The default
-- is 1000; about a minute's work is a good number.
SET featurize.checkpoint_rows = 4;

CREATE EXTERNAL TABLE images STORED AS BINARYFILE
LOCATION 'examples/fruits/'
OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');

-- The folder need not exist. NOT NULL matters: NOT IN finds nothing if a path could be NULL.
CREATE EXTERNAL TABLE features (
    path VARCHAR NOT NULL,
    length BIGINT NOT NULL,
    "modificationTime" TIMESTAMP WITH TIME ZONE NOT NULL,
    extracted TIMESTAMP WITH TIME ZONE NOT NULL,
    features FLOAT[] NOT NULL
)
STORED AS PARQUET LOCATION 'target/resume/features/';

SELECT count(*) AS done_before FROM features;

-- New images. The join looks at the listing alone: content is read of the images that are left.
INSERT INTO features
SELECT path, length, "modificationTime", now(), featurize(content, 'mobilenet_v2')
FROM images
WHERE path NOT IN (SELECT path FROM features);

-- Readers take the latest row of each image.
CREATE VIEW current_features AS
SELECT DISTINCT ON (path) path, length, "modificationTime", extracted, features
FROM features
ORDER BY path, extracted DESC;

-- Images that have changed since.
INSERT INTO features
SELECT path, length, "modificationTime", now(), featurize(content, 'mobilenet_v2')
FROM images
WHERE path IN (
    SELECT i.path
    FROM images AS i
    JOIN current_features AS f ON i.path = f.path
    WHERE i.length <> f.length OR i."modificationTime" <> f."modificationTime"
);

SELECT count(*) AS images, count(DISTINCT path) AS paths FROM current_features;
