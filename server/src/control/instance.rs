//! What an instance is here: a share of compute, by the size in its type's name.

use access::digest::{hex, sha256};

/// Threads of the pool that an instance of unknown size may use at once. Reason: that of a `large`, the smallest size
/// that most families have.
const SLOTS_UNKNOWN: u32 = 2;

/// Slots of an instance of this type: `medium` 1, `large` 2, `xlarge` 4, `Nxlarge` 4·N.
pub fn slots(instance_type: &str) -> u32 {
    match instance_type.rsplit('.').next().unwrap_or_default() {
        "medium" => 1,
        "large" => 2,
        "xlarge" => 4,
        size => {
            let times = size.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok());
            times.filter(|times| *times > 0).map_or(SLOTS_UNKNOWN, |times| times.saturating_mul(4))
        }
    }
}

/// The name of a variant's instances in its log streams: of one fleet always the same.
pub fn id(endpoint: &str, fleet: i64, variant: &str) -> String {
    let hex = hex(&sha256(format!("{endpoint}/{fleet}/{variant}").as_bytes()));
    format!("i-{}", &hex[..17])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_keeps_its_name_for_its_fleet() {
        let name = id("e", 1, "v");
        assert_eq!((name.len(), &name[..2]), (19, "i-"));
        assert!(name == id("e", 1, "v") && name != id("e", 2, "v") && name != id("e", 1, "w"));
    }

    #[test]
    fn the_size_is_the_last_part_of_the_type() {
        for (instance_type, expected) in [
            ("ml.t2.medium", 1),
            ("ml.m5.large", 2),
            ("ml.m5.xlarge", 4),
            ("ml.c5.18xlarge", 72),
            ("ml.m5.metal", SLOTS_UNKNOWN),
            ("ml.m5.0xlarge", SLOTS_UNKNOWN),
            ("", SLOTS_UNKNOWN),
        ] {
            assert_eq!(slots(instance_type), expected, "{instance_type}");
        }
    }
}
