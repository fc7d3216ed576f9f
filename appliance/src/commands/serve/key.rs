//! The key of `requestState`.

use profile::Plan;
use profile::plan::SecretSource;
use stack::Seal;

/// The seal that the plan asks for.
pub(super) fn seal(plan: &Plan) -> Result<Seal, String> {
    let ttl = plan.request_state.ttl;
    let explain = |error: &dyn std::fmt::Display| format!("request_state.key: {error}");
    match &plan.request_state.key {
        None => Seal::random(ttl).map_err(|error| explain(&error)),
        Some(SecretSource::Env(name)) => {
            let secret = crate::cli::secret_from_environment(name).ok_or_else(|| {
                explain(&format!(
                    "the environment variable {name} is not set; set it where toolrack is started"
                ))
            })?;
            Seal::from_secret(secret.as_bytes(), ttl).map_err(|error| explain(&error))
        }
        Some(SecretSource::File(path)) => {
            let secret = std::fs::read(path).map_err(|error| {
                explain(&format!(
                    "cannot read `{}`: {error}; let the user who runs toolrack read it",
                    path.display()
                ))
            })?;
            Seal::from_secret(&secret, ttl).map_err(|error| explain(&error))
        }
    }
}
