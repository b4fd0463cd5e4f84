//! Addresses that hold secrets, kept out of plans and of the names of columns.
//!
//! Plans are shown, logged and sent to other machines with the arguments of each call as they are written.
//! What the settings of a call say is not shown, and does the same.

use std::sync::Arc;

use datafusion_common::{Result, ScalarValue};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::simplify::ExprSimplifyResult;
use datafusion_expr::{Expr, ScalarUDF, lit};

use super::planned::Instance;
use crate::weights::WeightsUrl;

/// The name of the column that a call makes.
pub(super) fn schema_name(function: &str, args: &[Expr]) -> Result<String> {
    let name = |arg: &Expr| match secret(arg) {
        Some((url, _)) => lit(url.to_string()).schema_name().to_string(),
        None => arg.schema_name().to_string(),
    };
    let names: Vec<String> = args.iter().map(name).collect();
    Ok(format!("{function}({})", names.join(",")))
}

/// The call with what it may not show among its settings. Its model and weights are the arguments from
/// `first` on.
pub(super) fn simplified(
    instance: &Instance,
    mut args: Vec<Expr>,
    first: usize,
    into_function: impl FnOnce(Instance) -> ScalarUDF,
) -> ExprSimplifyResult {
    let Some(mut planned) = instance.planned.clone() else {
        return ExprSimplifyResult::Original(args);
    };
    let settings = [&mut planned.model, &mut planned.weights];
    let mut has_secrets = false;
    for (arg, setting) in args.iter_mut().skip(first).zip(settings) {
        if let Some((_, text)) = secret(arg) {
            *setting = text;
            *arg = Expr::Literal(ScalarValue::Utf8(None), None);
            has_secrets = true;
        }
    }
    if !has_secrets {
        return ExprSimplifyResult::Original(args);
    }
    let function = into_function(Instance {
        planned: Some(planned),
        ..instance.clone()
    });
    let call = ScalarFunction::new_udf(Arc::new(function), args);
    ExprSimplifyResult::Simplified(Expr::ScalarFunction(call))
}

/// The address in a literal, and its text, if it may not be shown as it is written.
fn secret(arg: &Expr) -> Option<(WeightsUrl, String)> {
    let Expr::Literal(value, _) = arg else {
        return None;
    };
    let text = value
        .try_as_str()
        .flatten()
        .filter(|text| text.contains("://"))?;
    let url = WeightsUrl::parse_folder(text).ok()?;
    url.holds_secrets().then(|| (url, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use datafusion_common::config::ConfigOptions;
    use datafusion_expr::simplify::SimplifyContext;

    use super::*;
    use crate::functions::featurize::Featurize;
    use crate::functions::planned::planned_settings;
    use crate::settings::FeatureSettings;

    #[test]
    fn no_plan_shows_what_an_address_holds() {
        let secret = "https://ann:hush@host:8080/w.h5?sig=hush";
        let function = Arc::new(ScalarUDF::from(Featurize::new()));
        let config = ConfigOptions::default();
        let function = function.inner().with_updated_config(&config).unwrap();
        let args = vec![lit(vec![0_u8]), lit("vgg16"), lit(secret), lit("avg")];
        let name = function.schema_name(&args).unwrap();
        assert!(
            name.contains("\"https://host:8080/w.h5?…\"") && !name.contains("hush"),
            "{name}"
        );

        let context = SimplifyContext::default();
        let simplified = function.simplify(args.clone(), &context).unwrap();
        let ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) = simplified else {
            panic!("the address stands in the call");
        };
        let shown = format!("{call:?} {}", Expr::ScalarFunction(call.clone()));
        assert!(!shown.contains("hush"), "{shown}");
        let expected = FeatureSettings {
            weights: secret.to_owned(),
            ..FeatureSettings::default()
        };
        assert_eq!(planned_settings(&call.func), Some(&expected));
        // The other arguments are as they were, and what shows nothing stays.
        assert_eq!((&call.args[..2], &call.args[3..]), (&args[..2], &args[3..]));
        let again = call.func.simplify(call.args.clone(), &context).unwrap();
        assert!(matches!(again, ExprSimplifyResult::Original(args) if args == call.args));
    }
}
