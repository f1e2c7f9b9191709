//! The parameters of a fleet: those of a new one, and whether an existing one has those asked for.

use hintdex::wire::{HintScheme, NonceKind, Schedule, StationPoint};
use hintdex::{IndexError, Naming, Params, ScheduleTolerance};

use crate::args::{HintName, ProvisionArgs, SuiteName};

const DEFAULT_LOOKAHEAD: u32 = 16;

/// The parameters of a new fleet. `station` is the point of its station, where packets need one.
pub fn of_new_fleet(
    args: &ProvisionArgs,
    station: Option<StationPoint>,
    max_drift_ppm: Option<u32>,
) -> Result<Params, hintdex::Error> {
    let nonces = args.nonce.unwrap_or_default();
    if let Some(schedule) = args.schedule {
        return of_scheduled_fleet(args, schedule, max_drift_ppm);
    }
    let params = match (args.suite.unwrap_or_default(), station) {
        (SuiteName::Ephemeral(suite), Some(station)) => {
            // Options of hints, if given, are refused by name when the parameters are checked.
            let scheme = args.hint.and_then(HintName::scheme).unwrap_or(HintScheme::Aes128);
            let lookahead = args.lookahead.unwrap_or(0);
            Params { scheme, nonces, lookahead, ..Params::ephemeral(suite, station) }
        }
        (SuiteName::Ephemeral(suite), None) => {
            let why = "the station key is missing";
            return Err(IndexError::NotForThisIndex { call: suite.name(), why }.into());
        }
        (SuiteName::Hinted(suite), _) => {
            let scheme = match args.hint {
                None => HintScheme::Aes128,
                Some(HintName::Scheme(scheme)) => scheme,
                Some(HintName::None) => {
                    let why = "without hints, choose --suite x25519 or x25519-seq";
                    return Err(IndexError::NotForThisIndex { call: "--hint none", why }.into());
                }
            };
            let lookahead = args.lookahead.unwrap_or(DEFAULT_LOOKAHEAD);
            let params = Params::clocked(scheme, nonces, lookahead);
            let params = params.ok_or(IndexError::NoRoomForNonces { scheme, nonces })?;
            Params { suite, ..params }
        }
    };
    let (derivation, ratchet) = (args.derivation.unwrap_or_default(), args.ratchet_bits);
    let associated_data = args.associated_data.as_deref().copied().unwrap_or_default();
    Ok(Params { derivation, ratchet, associated_data, ..params })
}

/// The parameters of a new fleet whose packets follow a schedule.
fn of_scheduled_fleet(
    args: &ProvisionArgs,
    schedule: Schedule,
    max_drift_ppm: Option<u32>,
) -> Result<Params, hintdex::Error> {
    let suite = match args.suite.unwrap_or_default() {
        SuiteName::Hinted(suite) => suite,
        SuiteName::Ephemeral(suite) => {
            let why = "its packets carry the id of their device, and need no schedule";
            return Err(IndexError::NotForThisIndex { call: suite.name(), why }.into());
        }
    };
    let tolerance = ScheduleTolerance {
        jitter_ms: args.jitter.unwrap_or(ScheduleTolerance::DEFAULT.jitter_ms),
        max_drift_ppm: max_drift_ppm.unwrap_or(ScheduleTolerance::DEFAULT.max_drift_ppm),
    };
    let params = Params::scheduled(schedule, args.hint.and_then(HintName::scheme), tolerance);
    // Options of hints, if given, are refused by name when the parameters are checked.
    Ok(Params {
        suite,
        nonces: args.nonce.unwrap_or_default(),
        lookahead: args.lookahead.unwrap_or(0),
        derivation: args.derivation.unwrap_or_default(),
        ratchet: args.ratchet_bits,
        associated_data: args.associated_data.as_deref().copied().unwrap_or_default(),
        ..params
    })
}

/// Whether an existing fleet has every parameter that the arguments name.
pub fn are_those_of(args: &ProvisionArgs, has: &Params) -> bool {
    let is_hint = |hint: HintName| match hint {
        HintName::None => match has.naming {
            Naming::Schedule { head, .. } => head.is_none(),
            _ => !has.naming.has_index(),
        },
        HintName::Scheme(scheme) => match has.naming {
            Naming::Schedule { head, .. } => head == Some(scheme),
            _ => has.naming.has_index() && scheme.for_nonces(has.nonces) == Some(has.scheme),
        },
    };
    let is_suite = |suite: SuiteName| match (suite, has.naming) {
        (SuiteName::Hinted(suite), Naming::Hint | Naming::Schedule { .. }) => suite == has.suite,
        (SuiteName::Ephemeral(suite), Naming::Ephemeral { suite: its, .. }) => suite == its,
        _ => false,
    };
    let is_nonces = |nonces: NonceKind| nonces == has.nonces;
    let is_schedule = |given: Schedule| match has.naming {
        Naming::Schedule { schedule, .. } => schedule == given,
        _ => false,
    };
    let is_jitter = |jitter_ms: u32| match has.naming {
        Naming::Schedule { tolerance, .. } => tolerance.jitter_ms == jitter_ms,
        _ => false,
    };
    args.schedule.is_none_or(is_schedule)
        && args.jitter.is_none_or(is_jitter)
        && args.hint.is_none_or(is_hint)
        && args.suite.is_none_or(is_suite)
        && args.nonce.is_none_or(is_nonces)
        && args.lookahead.is_none_or(|lookahead| lookahead == has.lookahead)
        && args.derivation.is_none_or(|derivation| derivation == has.derivation)
        && args.associated_data.as_deref().is_none_or(|data| *data == has.associated_data)
        && args.ratchet_bits.is_none_or(|bits| Some(bits) == has.ratchet)
}
