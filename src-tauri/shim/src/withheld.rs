//! What of a specification is written to no file: the shim is given it in its environment, and the
//! program has it from there, or as its arguments.

use std::os::unix::ffi::OsStrExt;

use model::process::LaunchSpec;

use crate::redact::{Redactor, Values, is_secret_name};

/// What the variables with parts of an argument are called, before its place and the part's.
const ARGUMENT: &str = "HIVEKEEPER_ARGUMENT";
/// The longest part of an argument in one variable, in bytes; the system takes 128 KiB.
const PART_BYTES: usize = 64 * 1024;
/// How much of arguments is handed over in this way at most, in bytes; the system takes two mebibytes
/// of everything together.
const ALL_BYTES_MAX: usize = 512 * 1024;

/// An argument that was not written down is not in the environment either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("argument {0} was not handed over")]
pub struct Missing(pub u32);

/// Takes the secrets out of `spec`: variables that are called so, or hold one, and arguments that hold
/// one. Returns what may be written down, and the variables for the shim.
///
/// A secret is what a variable of `spec` or of this process's environment calls so, and what has the
/// shape of a token. Arguments too long for the system's environment stay where they are.
#[must_use]
pub fn take_out(spec: &LaunchSpec) -> (LaunchSpec, Vec<(String, String)>) {
    let inherited: Vec<_> = std::env::vars_os().collect();
    let inherited = inherited
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str().as_bytes())));
    let own = spec.env.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut values = Values::of(inherited.chain(own));
    let called_so = |name: &String| spec.secret.contains(name);
    for (_, value) in spec.env.iter().filter(|(name, _)| called_so(name)) {
        values.add(value.as_bytes());
    }
    let is_secret = |(name, value): &(String, String)| {
        is_secret_name(name) || called_so(name) || Redactor::cleaned(&values, value).is_some()
    };
    let (mut given, env): (Vec<_>, Vec<_>) = spec.env.iter().cloned().partition(is_secret);
    let mut written = LaunchSpec { env, ..spec.clone() };
    written.inherited.extend(given.iter().map(|(name, _)| name.clone()));
    let mut room = ALL_BYTES_MAX;
    for (place, argument) in (0..).zip(&mut written.args) {
        let Some(clean) = Redactor::cleaned(&values, argument) else {
            continue;
        };
        if argument.len() > room || argument.contains('\0') {
            continue;
        }
        room -= argument.len();
        given.extend(parts(place, argument));
        *argument = clean;
        written.withheld.push(place);
    }
    (written, given)
}

/// An argument in parts that each fit into a variable.
fn parts(place: u32, argument: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let mut rest = argument;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        parts.push((variable(place, parts.len()), part.to_owned()));
        rest = behind;
    }
    parts
}

fn variable(place: u32, part: usize) -> String {
    format!("{ARGUMENT}_{place}_{part}")
}

/// Puts the arguments that were not written down back where they belong, as `variable` of the shim's
/// environment has them.
///
/// # Errors
/// When one is not there.
pub fn put_back(
    mut spec: LaunchSpec,
    get: impl Fn(&str) -> Option<String>,
) -> Result<LaunchSpec, Missing> {
    for place in std::mem::take(&mut spec.withheld) {
        let parts: Vec<String> = (0..).map_while(|part| get(&variable(place, part))).collect();
        let argument = usize::try_from(place).ok().and_then(|place| spec.args.get_mut(place));
        match argument {
            Some(argument) if !parts.is_empty() => *argument = parts.concat(),
            _ => return Err(Missing(place)),
        }
    }
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn spec(args: &[&str], env: &[(&str, &str)]) -> LaunchSpec {
        LaunchSpec {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            ..LaunchSpec::default()
        }
    }

    fn back(written: LaunchSpec, given: Vec<(String, String)>) -> Result<LaunchSpec, Missing> {
        let given: BTreeMap<String, String> = given.into_iter().collect();
        put_back(written, |name| given.get(name).cloned())
    }

    #[test]
    fn what_holds_a_secret_is_handed_over_and_only_the_rest_is_written_down() {
        let token = format!("hk_a_{0}_{0}{0}", "0123456789abcdef0123456789abcdef");
        let header = format!("Authorization=Bearer {token}");
        let key = "correct-horse-battery";
        let spec = spec(
            &["--verbose", "--key=correct-horse-battery", "plain", &header],
            &[("DEPLOY_PASSWORD", key), ("OTEL_EXPORTER_OTLP_HEADERS", &header), ("A", "b")],
        );
        let (written, given) = take_out(&spec);
        let text = format!("{written:?}");
        assert!(!text.contains(key) && !text.contains(&token), "{text}");
        assert_eq!(written.args[1], "--key=«redacted»");
        assert_eq!((written.args[0].as_str(), written.args[2].as_str()), ("--verbose", "plain"));
        assert_eq!(written.withheld, [1, 3]);
        assert_eq!(written.inherited, ["DEPLOY_PASSWORD", "OTEL_EXPORTER_OTLP_HEADERS"]);
        assert_eq!(written.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(back(written.clone(), given).unwrap().args, spec.args);
        assert_eq!(back(written, Vec::new()).unwrap_err(), Missing(1));
    }

    #[test]
    fn a_variable_that_is_said_to_be_a_secret_is_one_whatever_it_is_called() {
        let mut spec = spec(&["--at=plain-looking-value"], &[("DB", "plain-looking-value")]);
        let (written, given) = take_out(&spec);
        assert!(given.is_empty(), "nothing calls it a secret: {written:?}");
        spec.secret = vec!["DB".to_owned()];
        let (written, given) = take_out(&spec);
        assert!(!format!("{written:?}").contains("plain-looking-value"), "{written:?}");
        assert_eq!(written.inherited, ["DB"]);
        assert_eq!(back(written, given).unwrap().args, spec.args);
    }

    #[test]
    fn what_no_environment_takes_stays_where_it_is() {
        let long = format!("{}correct-horse-battery", "é ".repeat(ALL_BYTES_MAX / 3 + 1));
        let odd = "correct-horse-battery\0";
        let spec = spec(&[&long, odd], &[("DEPLOY_PASSWORD", "correct-horse-battery")]);
        let (written, given) = take_out(&spec);
        assert_eq!((written.args, given.len()), (spec.args, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn arguments_come_back_as_they_were(
            args in prop::collection::vec(("[a-zé ]{0,20}", any::<bool>(), 0usize..40_000), 0..6),
        ) {
            let long = |(text, secret, repeat): &(String, bool, usize)| match secret {
                true => format!("{text}hunter2-hunter2{}", "é".repeat(*repeat)),
                false => text.clone(),
            };
            let args: Vec<String> = args.iter().map(long).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let spec = spec(&args, &[("DB_PASSWORD", "hunter2-hunter2")]);
            let (written, given) = take_out(&spec);
            prop_assert!(written.args.iter().all(|arg| !arg.contains("hunter2-hunter2")));
            prop_assert!(given.iter().all(|(_, value)| value.len() <= PART_BYTES));
            let expect = spec.args.clone();
            prop_assert_eq!(back(written, given).unwrap().args, expect);
        }
    }
}
