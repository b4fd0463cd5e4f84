//! The library of ONNX Runtime, which the machine has or has not.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::LoadDynamicError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::error::{Error, Result};

/// Environment variable that names the library, as the binding and its users know it.
const VARIABLE: &str = "ORT_DYLIB_PATH";
/// The oldest version that has the interface.
const OLDEST: u32 = ort::MINOR_VERSION;

static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The library, loaded when it is first asked for. A failure is not remembered.
///
/// # Errors
///
/// [`Error::Configuration`] that says what is missing and where to get it.
pub(super) fn environment() -> Result<Environment> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let path = path()?;
    let loaded = guarded(|| load(&path));
    let environment = loaded.map_err(|why| {
        Error::Configuration(format!(
            "an ONNX file needs the library of ONNX Runtime, 1.{OLDEST} or later: {why}. Set the \
             environment variable {VARIABLE} to the library; pip install onnxruntime puts it at \
             site-packages/onnxruntime/capi/{}.<version>",
            default_name()
        ))
    })?;
    log::info!("ONNX Runtime: {} ({})", path.display(), ort::info());
    Ok(slot.insert(environment).clone())
}

fn load(path: &Path) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| match error {
        LoadDynamicError::BadVersion { version_str, path } => {
            format!("{} is version {version_str}", path.display())
        }
        LoadDynamicError::MissingApi { path } => {
            format!("{} is another library", path.display())
        }
        LoadDynamicError::Dlopen { error, path } => {
            // What the loader said is behind what the binding says.
            let why = error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string);
            format!("{} cannot be loaded ({why})", path.display())
        }
        other => other.to_string(),
    })?;
    let builder = builder
        .with_name("featurize")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, category, _, _, message| {
            let level = match level {
                LogLevel::Fatal | LogLevel::Error => log::Level::Warn,
                // What is of use to who wrote the graph only.
                LogLevel::Warning => log::Level::Info,
                LogLevel::Info | LogLevel::Verbose => log::Level::Debug,
            };
            log::log!(level, "ONNX Runtime, {category}: {message}");
        }));
    let environment = builder.build().map_err(|error| error.to_string())?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// Where the library is, or the name by which the system's loader looks for it.
fn path() -> Result<PathBuf> {
    let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let path = named.map_or_else(|| PathBuf::from(default_name()), PathBuf::from);
    // The binding looks beside the program for what is relative, and panics where nobody knows where that is.
    if path.is_absolute() || std::env::current_exe().is_ok_and(|exe| exe.parent().is_some()) {
        return Ok(path);
    }
    Err(Error::Configuration(format!(
        "{VARIABLE}: expected an absolute path to the library of ONNX Runtime, found '{}'",
        path.display()
    )))
}

fn default_name() -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}onnxruntime{suffix}")
}

/// Runs what calls the binding, which panics where the library or a graph does what it never should; a query
/// must not.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!(
            "the binding to ONNX Runtime gave up: {}",
            text.unwrap_or("it panicked")
        ))
    })
}
