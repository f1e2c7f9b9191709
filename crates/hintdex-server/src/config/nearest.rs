//! The known name that is nearest to an unknown one.

/// The known name with the fewest edits from `name`, if they are few: a third of its letters, or
/// one that begins or ends with it.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|known| (distance(name, known), *known)).min()?;
    let allowed = (name.chars().count() / 3).max(1);
    if near.0 <= allowed {
        return Some(near.1);
    }
    let contains = |known: &&&str| {
        name.len() >= 3 && (known.contains(name) || (known.len() >= 3 && name.contains(**known)))
    };
    known.iter().find(contains).copied()
}

/// The edits between two names: letters put in, left out or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, of_a) in a.chars().enumerate() {
        let mut above_left = line;
        let mut left = line + 1;
        for (of_b, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = above_left + usize::from(of_a != *of_b);
            above_left = *cell;
            *cell = replaced.min(left + 1).min(*cell + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn edits_are_counted() {
        for (a, b, edits) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("gather", "gather_ms", 3)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["index", "gather_ms", "outbox_payloads", "queue_packets"];
        assert_eq!(nearest("indx", &known), Some("index"));
        assert_eq!(nearest("gather", &known), Some("gather_ms"));
        assert_eq!(nearest("queue_packet", &known), Some("queue_packets"));
        assert_eq!(nearest("password", &known), None);
    }
}
