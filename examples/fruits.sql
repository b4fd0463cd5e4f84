-- Images in, features and principal components out. Runs offline, from the repository's root:
--
--     cargo run -- -f examples/fruits.sql

-- 48 small pictures in 8 folders, one row each. On S3 only the LOCATION differs.
CREATE OR REPLACE EXTERNAL TABLE images STORED AS BINARYFILE
LOCATION 'examples/fruits/'
OPTIONS ('pathGlobFilter' '*.jpg', 'recursiveFileLookup' 'true');

SELECT split_part(path, '/', -2) AS label, count(*) AS images, sum(length) AS bytes
FROM images
GROUP BY label
ORDER BY label;

-- Offline, a network with fixed pseudo-random weights stands in for the one trained on ImageNet.
SET featurize.weights = 'seeded';

-- 25,088 numbers an image, computed once and kept.
CREATE OR REPLACE TABLE features AS
SELECT path, split_part(path, '/', -2) AS label, featurize(content, 'vgg16') AS features
FROM images;

-- Standardise, and keep 90 % of the variance. The model is one value.
CREATE OR REPLACE TABLE model AS
SELECT pca_fit(features, 0.9) AS pca
FROM features;

SELECT pca_n_samples(pca) AS images, pca_n_components(pca) AS components
FROM model;

SELECT round(variance * 100, 2) AS percent
FROM (SELECT unnest(pca_explained_variance_ratio(pca)) AS variance FROM model)
LIMIT 5;

CREATE OR REPLACE TABLE export AS
SELECT path, label, pca_transform(features, (SELECT pca FROM model)) AS features_pca
FROM features
ORDER BY path;

SELECT label, round(features_pca[1], 3) AS pc1, round(features_pca[2], 3) AS pc2
FROM export
WHERE path LIKE '%/0_100.jpg'
ORDER BY label;

-- One file each; CSV holds a list as the text [a, b, c].
COPY (SELECT path, label, features_pca FROM export ORDER BY path)
TO 'target/fruits/features_pca.parquet' STORED AS PARQUET;

COPY (SELECT path, label, CAST(features_pca AS VARCHAR) AS features_pca FROM export ORDER BY path)
TO 'target/fruits/features_pca.csv' STORED AS CSV OPTIONS ('format.has_header' 'true');

SELECT count(*) AS rows, count(DISTINCT label) AS labels
FROM 'target/fruits/features_pca.parquet';
