-- Similarity search: the images most like one of them. Runs offline, from the repository's root:
--
--     cargo run -- -f examples/similar_images.sql

CREATE OR REPLACE EXTERNAL TABLE images STORED AS BINARYFILE
LOCATION 'examples/fruits/'
OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');

-- Offline, DINOv2 with fixed pseudo-random weights stands in for the trained one, which is downloaded from
-- the Hugging Face hub where this line is left out.
SET featurize.weights = 'seeded';

CREATE OR REPLACE TABLE features AS
SELECT path, split_part(path, '/', -2) AS label, featurize(content, 'dinov2_small') AS features
FROM images;

CREATE OR REPLACE TABLE model AS
SELECT pca_fit(features, 0.9) AS pca
FROM features;

-- The index is a table: a short vector for each image. Searches read nothing else.
COPY (SELECT path, label, pca_transform(features, (SELECT pca FROM model)) AS features_pca
      FROM features)
TO 'target/similar_images/vectors.parquet' STORED AS PARQUET;

CREATE OR REPLACE EXTERNAL TABLE vectors STORED AS PARQUET
LOCATION 'target/similar_images/vectors.parquet';

-- The image that is looked for: one of the table, or one featurized for the purpose.
CREATE OR REPLACE TABLE query AS
SELECT features_pca AS vector
FROM vectors
WHERE path LIKE '%/Banana/0_100.jpg';

-- cosine_distance is 1 less the cosine of the angle between two vectors: 0 is the same direction.
SELECT label, split_part(path, '/', -1) AS image,
       abs(round(cosine_distance(features_pca, (SELECT vector FROM query)), 4)) AS distance
FROM vectors
ORDER BY distance, path
LIMIT 6;

-- ORDER BY … LIMIT keeps the best rows only: the plan sorts with TopK(fetch=6), so that memory is
-- that of six rows and a batch, of a thousand images as of a hundred million.
EXPLAIN FORMAT INDENT
SELECT path
FROM vectors
ORDER BY cosine_distance(features_pca, (SELECT vector FROM query))
LIMIT 6;

-- An image file that is not in the table, put through the same network and model.
SELECT label, split_part(path, '/', -1) AS image,
       abs(round(cosine_distance(features_pca, (
           SELECT pca_transform(featurize(content, 'dinov2_small'), (SELECT pca FROM model))
           FROM images
           WHERE path LIKE '%/Kiwi/3_100.jpg')), 4)) AS distance
FROM vectors
ORDER BY distance, path
LIMIT 3;

-- How often the nearest other image has the same label: all pairs, of which one row each is kept.
SELECT count(*) AS images, count(*) FILTER (WHERE label = nearest) AS same_label
FROM (SELECT a.label,
             first_value(b.label ORDER BY cosine_distance(a.features_pca, b.features_pca), b.path)
                 AS nearest
      FROM vectors a JOIN vectors b ON a.path <> b.path
      GROUP BY a.path, a.label);
