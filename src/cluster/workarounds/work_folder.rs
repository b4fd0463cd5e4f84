//! The folder for the results of tasks, when none is given.
//!
//! # To be filed upstream
//!
//! > **ballista-executor 55.0: the temporary work folder is removed before it is used**
//! >
//! > `start_executor_process` (`executor_process.rs`) takes the path of `TempDir::new()?.path()` and drops the
//! > `TempDir`, which removes the folder, at the end of the statement. It comes again with the first shuffle file,
//! > with the rights of any folder, and nothing removes it at the end. The `TempDir` should live as long as the
//! > executor.

use ballista_executor::executor_process::ExecutorProcessConfig;
use datafusion::common::{Result, exec_datafusion_err};

use crate::cluster::temporary::TemporaryFolder;

/// Makes the folder of `config`, and gives its path. One that nobody has named goes with what is returned.
pub(in crate::cluster) fn work_folder(
    config: &mut ExecutorProcessConfig,
) -> Result<(String, Option<TemporaryFolder>)> {
    if let Some(folder) = &config.work_dir {
        std::fs::create_dir_all(folder)
            .map_err(|e| exec_datafusion_err!("--work-dir '{folder}': {e}"))?;
        return Ok((folder.clone(), None));
    }
    let temporary = TemporaryFolder::try_new("executor")?;
    let folder = temporary.path().display().to_string();
    config.work_dir = Some(folder.clone());
    Ok((folder, Some(temporary)))
}
