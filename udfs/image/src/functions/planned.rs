//! Functions that load a network, as statements are planned with them.

use std::fmt;

use datafusion_common::Result;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::{ScalarUDF, Signature};

use super::arguments;
use super::featurize::Featurize;
use super::featurize_model_info::FeaturizeModelInfo;
use super::try_featurize::TryFeaturize;
use crate::settings::{FeatureSettings, Settings};
use crate::weights::WeightsAccess;

const FEATURIZE: &str = "featurize";
const TRY_FEATURIZE: &str = "try_featurize";
const FEATURIZE_MODEL_INFO: &str = "featurize_model_info";
const NAMES: [&str; 3] = [FEATURIZE, TRY_FEATURIZE, FEATURIZE_MODEL_INFO];

/// What an instance of such a function consists of.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    pub(super) signature: Signature,
    pub(super) access: WeightsAccess,
    /// The settings that the metadata tell of. `None` if the session never told of its own: then those of
    /// the moment of execution hold, and no metadata tells of them.
    pub(super) planned: Option<FeatureSettings>,
}

/// Without the settings: an address of weights may hold a signature, and plans are logged.
impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// An instance that knows no settings yet.
    pub(super) fn new(signature: Signature, access: WeightsAccess) -> Self {
        Self {
            signature,
            access,
            planned: None,
        }
    }

    /// The same with the settings of a session.
    pub(super) fn updated(&self, config: &ConfigOptions) -> Self {
        // Settings that cannot be read are the error of whoever executes.
        let settings = Settings::try_from_config(config).ok();
        Self {
            planned: settings.map(|settings| settings.features),
            ..self.clone()
        }
    }

    /// The settings to compute with: those that decide what features are as the statement was planned.
    pub(super) fn settings(&self, config: &ConfigOptions) -> Result<Settings> {
        let mut settings = Settings::try_from_config(config)?;
        if let Some(planned) = &self.planned {
            settings.features = planned.clone();
        }
        Ok(settings)
    }
}

/// The settings that a function has from the session that planned with it.
pub fn planned_settings(function: &ScalarUDF) -> Option<&FeatureSettings> {
    let function = function.inner();
    let instance = if let Some(function) = function.downcast_ref::<Featurize>() {
        &function.0
    } else if let Some(function) = function.downcast_ref::<TryFeaturize>() {
        &function.0
    } else {
        &function.downcast_ref::<FeaturizeModelInfo>()?.0
    };
    instance.planned.as_ref()
}

/// Whether a function of this name loads a network.
pub fn loads_network(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The function of this name with the settings that another machine has planned with; `None` if no
/// function of the name [loads a network](loads_network).
pub fn with_planned_settings(
    name: &str,
    access: WeightsAccess,
    settings: FeatureSettings,
) -> Option<ScalarUDF> {
    let instance = |signature| Instance {
        planned: Some(settings),
        ..Instance::new(signature, access)
    };
    Some(match name {
        FEATURIZE => Featurize(instance(arguments::signature())).into(),
        TRY_FEATURIZE => TryFeaturize(instance(arguments::signature())).into(),
        FEATURIZE_MODEL_INFO => FeaturizeModelInfo(instance(arguments::model_signature())).into(),
        _ => return None,
    })
}
