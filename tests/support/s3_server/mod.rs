//! An S3 server for tests and benchmarks: `s3s`, with signatures checked, on a free port of this
//! machine, behind a layer that counts requests and makes them slow or fail.
//!
//! Two stores can stand behind it. [`S3Server::on_disk`] is `s3s-fs`, the more complete one;
//! [`S3Server::in_memory`] has only what a scan needs, but lists a folder without looking at the
//! whole bucket. The server has a runtime of its own, so that neither a test that blocks nor
//! inference can stop it.

mod access;
mod faults;
mod memory;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use object_store::aws::AmazonS3Builder;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use self::access::{KnownKeys, Policy};
use self::faults::Layer;
pub(crate) use self::faults::{Failure, Kind, Part};
use self::memory::Objects;

/// The key that may do everything.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDFEATURIZETEST";
/// Its secret; it holds the characters that break careless encoders.
pub(crate) const SECRET_ACCESS_KEY: &str = "hushhush/plus+slash/equals=";
/// The region that requests are signed for.
pub(crate) const REGION: &str = "eu-west-3";

/// A running server; dropping it closes its connections.
#[derive(Debug)]
pub(crate) struct S3Server {
    address: SocketAddr,
    layer: Arc<Layer>,
    policy: Arc<Policy>,
    storage: Storage,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
enum Storage {
    Folder(TempDir),
    Memory(Arc<Objects>),
}

impl S3Server {
    /// Serves a temporary folder through `s3s-fs`.
    pub(crate) fn on_disk(buckets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for bucket in buckets {
            std::fs::create_dir(folder.path().join(bucket)).unwrap();
        }
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        Self::start(S3ServiceBuilder::new(files), Storage::Folder(folder))
    }

    /// Serves objects from memory: reading, writing, deleting and listing single objects.
    pub(crate) fn in_memory(buckets: &[&str]) -> Self {
        let objects = Arc::new(Objects::new(buckets));
        let service = S3ServiceBuilder::new(memory::MemoryS3(Arc::clone(&objects)));
        Self::start(service, Storage::Memory(objects))
    }

    fn start(mut service: S3ServiceBuilder, storage: Storage) -> Self {
        let policy = Arc::new(Policy::default());
        service.set_auth(KnownKeys);
        service.set_access(access::PolicyAccess(Arc::clone(&policy)));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).unwrap()
        };
        let layer = Arc::new(Layer::default());
        let serving = serve(listener, service.build(), Arc::clone(&layer));
        runtime.handle().spawn(serving);
        Self {
            address,
            layer,
            policy,
            storage,
            runtime: Some(runtime),
        }
    }

    /// The value of `aws.endpoint`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What `OPTIONS (…)` needs to reach the server, without credentials.
    pub(crate) fn endpoint_options(&self) -> String {
        format!(
            "'aws.endpoint' '{}', 'aws.allow_http' 'true', 'aws.region' '{REGION}'",
            self.endpoint()
        )
    }

    /// What `OPTIONS (…)` needs to reach the server and be let in.
    pub(crate) fn options(&self) -> String {
        format!(
            "{}, 'aws.access_key_id' '{ACCESS_KEY_ID}', 'aws.secret_access_key' '{SECRET_ACCESS_KEY}'",
            self.endpoint_options()
        )
    }

    /// The same for a store that a program makes itself.
    pub(crate) fn store(&self, bucket: &str) -> AmazonS3Builder {
        AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_region(REGION)
            .with_bucket_name(bucket)
            .with_access_key_id(ACCESS_KEY_ID)
            .with_secret_access_key(SECRET_ACCESS_KEY)
    }

    /// Writes an object without a request.
    pub(crate) fn put(&self, bucket: &str, key: &str, content: impl Into<Vec<u8>>) {
        match &self.storage {
            Storage::Folder(folder) => {
                let path = folder.path().join(bucket).join(key);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content.into()).unwrap();
            }
            Storage::Memory(objects) => objects.put(bucket, key, content.into().into()).unwrap(),
        }
    }

    /// Deletes an object without a request.
    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        match &self.storage {
            Storage::Folder(folder) => {
                std::fs::remove_file(folder.path().join(bucket).join(key)).unwrap();
            }
            Storage::Memory(objects) => objects.remove(bucket, key).unwrap(),
        }
    }

    /// Delays every request by `latency`, before it is looked at.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.layer.set_latency(latency);
    }

    /// Makes `share` (0 to 1) of the requests of `kinds` fail, in each of `failures` equally
    /// often. Which ones depends only on `seed` and on the request and how often it was made.
    pub(crate) fn set_failures(&self, share: f64, kinds: &[Kind], failures: &[Failure], seed: u64) {
        self.layer.set_failures(share, kinds, failures, seed);
    }

    /// Makes the next `times` requests of `kind` fail whose URL contains `url_part`.
    pub(crate) fn fail_next(&self, times: usize, kind: Kind, url_part: &str, failure: Failure) {
        self.layer.fail_next(times, kind, url_part, failure);
    }

    /// Answers with `status` whatever needs this part of S3.
    pub(crate) fn forget(&self, part: Part, status: u16) {
        self.layer.forget(part, status);
    }

    /// Requests of this kind so far, failed ones among them.
    pub(crate) fn requests(&self, kind: Kind) -> usize {
        self.layer.requests(kind)
    }

    /// Whether a request came with this header of Amazon's, as `name: value`.
    pub(crate) fn has_come(&self, header: &str) -> bool {
        self.layer.has_come(header)
    }

    /// The bytes of the parts of each multipart upload so far.
    pub(crate) fn uploads(&self) -> Vec<Vec<u64>> {
        self.layer.uploads()
    }

    /// Failures that were injected so far.
    pub(crate) fn failures(&self) -> usize {
        self.layer.failures()
    }

    /// Requests that have arrived and whose response is not sent yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.layer.in_flight()
    }

    /// Waits until no request is in flight, for five seconds at most.
    pub(crate) async fn idle(&self) {
        for _ in 0..500 {
            if self.in_flight() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.in_flight(), 0, "requests are still in flight");
    }

    /// The most requests that were in flight at once.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.layer.most_in_flight()
    }

    /// Sets all counters to zero.
    pub(crate) fn reset_counters(&self) {
        self.layer.reset_counters();
    }

    /// Lets everybody read and list a bucket, without a signature.
    pub(crate) fn make_public(&self, bucket: &str) {
        self.policy.make_public(bucket);
    }

    /// Denies an object, or with the key `""` a whole bucket, to everybody.
    pub(crate) fn deny(&self, bucket: &str, key: &str) {
        self.policy.deny(bucket, key);
    }

    /// Accepts only requests with this session token, as for temporary credentials.
    pub(crate) fn require_token(&self, token: &str) {
        self.policy.require_token(token);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, layer: Arc<Layer>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        // Without lingering, a connection that is dropped is one that the client sees reset.
        if socket.set_nodelay(true).is_err() || socket.set_zero_linger().is_err() {
            continue;
        }
        let (layer, service) = (Arc::clone(&layer), service.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (layer, service) = (Arc::clone(&layer), service.clone());
                async move { layer.call(&service, request).await }
            });
            // An error here is a connection that was cut, which is what the layer is for.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}
