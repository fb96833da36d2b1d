//! Durations as Go writes them, and as ours are written.

/// Go's durations: `168h`, `1h30m0s`. None with fractions or anything else.
pub(super) fn seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, unit) = rest.split_at_checked(digits)?;
        let unit_end = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at_checked(unit_end)?;
        let factor = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        total = number.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(total)?;
        rest = next;
    }
    Some(total)
}

/// The same as ours are written.
pub(super) fn written(seconds: u64) -> String {
    match seconds {
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_durations_of_ours() {
        for (theirs, ours) in [("168h0m0s", "7d"), ("12h30m", "750m"), ("90s", "90s"), ("2h", "2h"), ("0", "0d")] {
            assert_eq!(seconds(theirs).map(written).as_deref(), Some(ours), "{theirs}");
        }
        for theirs in ["", "5", "h", "1.5h", "10ms", "1d", "-1h", "99999999999999999999h"] {
            assert_eq!(seconds(theirs).filter(|seconds| *seconds > 0), None, "{theirs}");
        }
    }
}
