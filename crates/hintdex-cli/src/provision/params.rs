//! The parameters of a fleet: those of a new one, and whether an existing one has those asked for.

use hintdex::wire::{HintScheme, Schedule, StationPoint};
use hintdex::{IndexError, Naming, Params, ScheduleTolerance};

use crate::args::{HintName, ProvisionArgs, SuiteName};

const DEFAULT_LOOKAHEAD: u32 = 16;

/// The parameters of a new fleet. `station` is the point of its station, where packets need one.
///
/// Options of hints that do not go with the packets are refused by name when the parameters are
/// checked.
pub fn of_new_fleet(
    args: &ProvisionArgs,
    station: Option<StationPoint>,
    max_drift_ppm: Option<u32>,
) -> Result<Params, hintdex::Error> {
    let nonces = args.nonce.unwrap_or_default();
    let refused = |call, why| Err(IndexError::NotForThisIndex { call, why }.into());
    let params = match (args.schedule, args.suite.unwrap_or_default()) {
        (Some(schedule), SuiteName::Hinted(suite)) => {
            let usual = ScheduleTolerance::DEFAULT;
            let tolerance = ScheduleTolerance {
                jitter_ms: args.jitter.unwrap_or(usual.jitter_ms),
                max_drift_ppm: max_drift_ppm.unwrap_or(usual.max_drift_ppm),
            };
            let head = args.hint.and_then(HintName::scheme);
            Params { suite, ..Params::scheduled(schedule, head, tolerance) }
        }
        (Some(_), SuiteName::Ephemeral(suite)) => {
            let why = "its packets carry the id of their device, and need no schedule";
            return refused(suite.name(), why);
        }
        (None, SuiteName::Ephemeral(suite)) => {
            let Some(station) = station else {
                return refused(suite.name(), "the station key is missing");
            };
            let scheme = args.hint.and_then(HintName::scheme).unwrap_or(HintScheme::Aes128);
            Params { scheme, ..Params::ephemeral(suite, station) }
        }
        (None, SuiteName::Hinted(suite)) => {
            let scheme = match args.hint {
                None => HintScheme::Aes128,
                Some(HintName::Scheme(scheme)) => scheme,
                Some(HintName::None) => {
                    let why = "without hints, choose --suite x25519 or x25519-seq, or --schedule";
                    return refused("--hint none", why);
                }
            };
            let params = Params::clocked(scheme, nonces, DEFAULT_LOOKAHEAD);
            let params = params.ok_or(IndexError::NoRoomForNonces { scheme, nonces })?;
            Params { suite, ..params }
        }
    };
    Ok(Params {
        nonces,
        lookahead: args.lookahead.unwrap_or(params.lookahead),
        derivation: args.derivation.unwrap_or_default(),
        ratchet: args.ratchet_bits,
        associated_data: args.associated_data.as_deref().copied().unwrap_or_default(),
        lead: args.lead,
        ..params
    })
}

/// Whether an existing fleet has every parameter that the arguments name.
pub fn are_those_of(args: &ProvisionArgs, has: &Params) -> bool {
    let is_hint = |hint: HintName| match (has.naming, hint.scheme()) {
        (Naming::Hint, scheme) => {
            scheme.is_some_and(|scheme| scheme.for_nonces(has.nonces) == Some(has.scheme))
        }
        (Naming::Schedule { head, .. }, scheme) => head == scheme,
        (_, scheme) => scheme.is_none(),
    };
    let is_suite = |suite: SuiteName| match (suite, has.naming) {
        (SuiteName::Hinted(suite), Naming::Hint | Naming::Schedule { .. }) => suite == has.suite,
        (SuiteName::Ephemeral(suite), Naming::Ephemeral { suite: its, .. }) => suite == its,
        _ => false,
    };
    let is_schedule = |given: Schedule| matches!(has.naming, Naming::Schedule { schedule, .. } if schedule == given);
    let is_jitter = |given_ms: u32| matches!(has.naming, Naming::Schedule { tolerance, .. } if tolerance.jitter_ms == given_ms);
    args.schedule.is_none_or(is_schedule)
        && args.jitter.is_none_or(is_jitter)
        && args.hint.is_none_or(is_hint)
        && args.suite.is_none_or(is_suite)
        && args.nonce.is_none_or(|nonces| nonces == has.nonces)
        && args.lookahead.is_none_or(|lookahead| lookahead == has.lookahead)
        && args.derivation.is_none_or(|derivation| derivation == has.derivation)
        && args.associated_data.as_deref().is_none_or(|data| *data == has.associated_data)
        && args.lead.is_none_or(|lead| Some(lead) == has.lead)
        && args.ratchet_bits.is_none_or(|bits| Some(bits) == has.ratchet)
}
