//! Objects in memory. `s3s-fs` walks the whole bucket for every page of a listing, which no
//! benchmark of listing can use.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use s3s::dto::{
    CommonPrefix, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput,
    StreamingBlob,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

#[derive(Debug)]
pub(super) struct Objects {
    buckets: RwLock<HashMap<String, Bucket>>,
}

type Bucket = BTreeMap<String, Stored>;

#[derive(Debug, Clone)]
struct Stored {
    content: Bytes,
    modified: SystemTime,
    e_tag: String,
}

impl Objects {
    pub(super) fn new(buckets: &[&str]) -> Self {
        let buckets = buckets
            .iter()
            .map(|bucket| ((*bucket).to_owned(), Bucket::new()))
            .collect();
        Self {
            buckets: RwLock::new(buckets),
        }
    }

    pub(super) fn put(&self, bucket: &str, key: &str, content: Bytes) -> S3Result<()> {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let stored = Stored {
            e_tag: format!("{:016x}", hasher.finish()),
            modified: SystemTime::now(),
            content,
        };
        let mut buckets = self.buckets.write().unwrap();
        let bucket = buckets
            .get_mut(bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket))?;
        bucket.insert(key.to_owned(), stored);
        Ok(())
    }

    pub(super) fn remove(&self, bucket: &str, key: &str) -> S3Result<()> {
        let mut buckets = self.buckets.write().unwrap();
        let bucket = buckets
            .get_mut(bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket))?;
        bucket.remove(key);
        Ok(())
    }

    fn get(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        let buckets = self.buckets.read().unwrap();
        let bucket = buckets.get(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        bucket.get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn list(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let buckets = self.buckets.read().unwrap();
        let bucket = buckets
            .get(&input.bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket))?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let page = usize::try_from(input.max_keys.unwrap_or(1000))
            .unwrap_or(0)
            .min(1000);

        let after = input
            .continuation_token
            .as_ref()
            .or(input.start_after.as_ref());
        let mut from = match after {
            Some(after) if *after >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(prefix.clone()),
        };
        let (mut contents, mut folders) = (vec![], vec![]);
        let mut last = None;
        let mut is_truncated = false;
        loop {
            let next = bucket
                .range::<String, _>((from.clone(), Bound::Unbounded))
                .next();
            let Some((key, stored)) = next.filter(|(key, _)| key.starts_with(&prefix)) else {
                break;
            };
            if contents.len() + folders.len() == page {
                is_truncated = page > 0;
                break;
            }
            let below = &key[prefix.len()..];
            let folder = input.delimiter.as_ref().and_then(|delimiter| {
                let end = below.find(delimiter.as_str())? + delimiter.len();
                Some(format!("{prefix}{}", &below[..end]))
            });
            match folder {
                Some(folder) => {
                    // On to the first key behind the folder.
                    let end = format!("{folder}\u{10ffff}");
                    from = Bound::Excluded(end.clone());
                    last = Some(end);
                    folders.push(CommonPrefix {
                        prefix: Some(folder),
                    });
                }
                None => {
                    from = Bound::Excluded(key.clone());
                    last = Some(key.clone());
                    contents.push(Object {
                        key: Some(key.clone()),
                        size: i64::try_from(stored.content.len()).ok(),
                        last_modified: Some(stored.modified.into()),
                        e_tag: Some(ETag::Strong(stored.e_tag.clone())),
                        ..Default::default()
                    });
                }
            }
        }
        Ok(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + folders.len()).ok(),
            max_keys: input.max_keys,
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            contents: Some(contents),
            common_prefixes: Some(folders),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            ..Default::default()
        })
    }
}

/// The part of the protocol that a scan needs, over [`Objects`].
#[derive(Debug)]
pub(super) struct MemoryS3(pub(super) Arc<Objects>);

#[async_trait::async_trait]
impl S3 for MemoryS3 {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.0.get(&input.bucket, &input.key)?;
        let length = stored.content.len() as u64;
        let (content, content_range) = match input.range {
            None => (stored.content, None),
            Some(range) => {
                let range = range.check(length)?;
                let shown = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let range = range.start as usize..range.end as usize;
                (stored.content.slice(range), Some(shown))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(content.len()).ok(),
            content_range,
            body: Some(StreamingBlob::from(s3s::Body::from(content))),
            e_tag: Some(ETag::Strong(stored.e_tag)),
            last_modified: Some(stored.modified.into()),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let stored = self.0.get(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(stored.content.len()).ok(),
            e_tag: Some(ETag::Strong(stored.e_tag)),
            last_modified: Some(stored.modified.into()),
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let mut content = Vec::new();
        if let Some(mut body) = input.body {
            while let Some(bytes) = body
                .try_next()
                .await
                .map_err(|_| s3_error!(IncompleteBody))?
            {
                content.extend_from_slice(&bytes);
            }
        }
        self.0.put(&input.bucket, &input.key, content.into())?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(self.0.get(&input.bucket, &input.key)?.e_tag)),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.remove(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let mut deleted = vec![];
        for object in input.delete.objects {
            self.0.remove(&input.bucket, &object.key)?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        Ok(S3Response::new(self.0.list(request.input)?))
    }
}
