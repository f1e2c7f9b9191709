//! The time of reception of a packet: that of the gateways that agree.

use crate::uplink::Reception;

/// How far apart the times of gateways that agree may be, in milliseconds. Radio and network take
/// far less; clocks set by NTP agree within tens of milliseconds.
pub const AGREEMENT_MS: u64 = 2_000;

/// The time of reception of a packet that arrived at `arrival_ms` by the server's clock, in
/// milliseconds since 1970.
///
/// - A time of a process of this machine is taken as it is.
/// - Else the largest set of times within [`AGREEMENT_MS`] decides, with one time for each gateway;
///   of sets of one size, that which is nearer to the arrival. Its median is the time.
/// - A time that no second gateway confirms counts only within `near_ms` of the arrival: one
///   gateway may lie. Otherwise the arrival is the time.
pub fn agreed_time_ms(receptions: &[Reception], arrival_ms: u64, near_ms: u64) -> u64 {
    let certain = receptions.iter().filter(|reception| reception.is_time_certain);
    if let Some(time_ms) = certain.filter_map(|reception| reception.time_ms).next() {
        return time_ms;
    }
    // Receptions that name no gateway may all be of one, and have one vote together.
    let mut has_unnamed = false;
    let has_vote = |reception: &&Reception| {
        reception.gateway.is_some() || !std::mem::replace(&mut has_unnamed, true)
    };
    let timed = receptions.iter().filter(|reception| reception.time_ms.is_some());
    let mut times: Vec<u64> =
        timed.filter(has_vote).filter_map(|reception| reception.time_ms).collect();
    times.sort_unstable();
    let is_near = |time_ms: u64| time_ms.abs_diff(arrival_ms) <= near_ms;
    let sets = times.iter().enumerate().map(|(from, first)| {
        let rest = times.get(from..).unwrap_or_default();
        let len = rest.partition_point(|time_ms| time_ms - first <= AGREEMENT_MS);
        rest.get(..len).unwrap_or_default()
    });
    let believed = sets.filter_map(|set| {
        let median = *set.get(set.len() / 2)?;
        (set.len() > 1 || is_near(median)).then_some((set.len(), median))
    });
    let best =
        believed.max_by_key(|(len, median)| (*len, std::cmp::Reverse(median.abs_diff(arrival_ms))));
    best.map_or(arrival_ms, |(_, median)| median)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ARRIVAL_MS: u64 = 1_764_000_000_000;
    const NEAR_MS: u64 = 10_000;

    /// The time of receptions of so many gateways, or of as many that name none.
    fn agreed_of(times: &[i64], is_named: bool) -> i64 {
        let of = |(number, offset_ms): (usize, &i64)| Reception {
            gateway: is_named.then(|| number.to_string()),
            time_ms: ARRIVAL_MS.checked_add_signed(*offset_ms),
            ..Reception::default()
        };
        let receptions: Vec<Reception> = times.iter().enumerate().map(of).collect();
        let time_ms = agreed_time_ms(&receptions, ARRIVAL_MS, NEAR_MS);
        i64::try_from(i128::from(time_ms) - i128::from(ARRIVAL_MS)).unwrap_or(i64::MAX)
    }

    fn agreed(times: &[i64]) -> i64 {
        agreed_of(times, true)
    }

    /// Copies of one message without the name of a gateway agree with nobody.
    #[test]
    fn receptions_without_a_gateway_have_one_vote() {
        assert_eq!(agreed_of(&[-3_600_000, -3_600_050], false), 0);
        assert_eq!(agreed_of(&[-150, -3_600_050], false), -150);
    }

    #[test]
    fn gateways_that_agree_outvote_one_that_lies() {
        assert_eq!(agreed(&[]), 0);
        assert_eq!(agreed(&[-150]), -150);
        assert_eq!(agreed(&[-150, -140, -160]), -150);
        // A day ahead, or at its epoch.
        assert_eq!(agreed(&[-150, -140, 86_400_000]), -140);
        assert_eq!(agreed(&[-1_764_000_000_000, -150, -140]), -140);
        // Two that agree are believed though the server's clock is an hour off.
        assert_eq!(agreed(&[-3_600_000, -3_600_050]), -3_600_000);
    }

    #[test]
    fn one_gateway_alone_is_believed_near_the_arrival_only() {
        assert_eq!(agreed(&[86_400_000]), 0);
        assert_eq!(agreed(&[10_001]), 0);
        assert_eq!(agreed(&[10_000]), 10_000);
        // Of two that disagree, the nearer counts.
        assert_eq!(agreed(&[-200, 9_000]), -200);
        assert_eq!(agreed(&[-200, 86_400_000]), -200);
    }

    #[test]
    fn the_time_of_a_process_of_this_machine_is_certain() {
        let reception =
            Reception { time_ms: Some(17), is_time_certain: true, ..Reception::default() };
        assert_eq!(agreed_time_ms(&[reception], ARRIVAL_MS, NEAR_MS), 17);
    }

    proptest! {
        #[test]
        fn liars_in_the_minority_move_nothing(
            honest in proptest::collection::vec(-500..500_i64, 3..8),
            lies in proptest::collection::vec(-10_000_000_000..10_000_000_000_i64, 0..2),
        ) {
            let all: Vec<i64> = honest.iter().chain(&lies).copied().collect();
            // A lie that is nearly true may join the honest times.
            prop_assert!(agreed(&all).abs() <= 500 + 2_000);
        }
    }
}
