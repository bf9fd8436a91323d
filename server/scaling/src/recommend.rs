//! A recommendation for those who scale by a script: the proportional formula with a dead band, without alarms or cooldowns.

use crate::target::Limits;

/// Around the target nothing changes: as the Horizontal Pod Autoscaler does by default.
const TOLERANCE: f64 = 0.1;

/// What the sums of floating point leave behind.
const SLACK: f64 = 1e-9;

/// How many units would bring a per-unit `value` to `target`, of which `ready` are in service now; unknown values leave
/// things as they are.
pub fn recommend(ready: u32, value: Option<f64>, target: f64, limits: Limits) -> u32 {
    let Some(ratio) = value.map(|value| value / target).filter(|ratio| ratio.is_finite()) else {
        return limits.clamp(ready);
    };
    if (ratio - 1.0).abs() <= TOLERANCE + SLACK {
        return limits.clamp(ready);
    }
    limits.clamp_f64((f64::from(ready.max(1)) * ratio * (1.0 - SLACK)).ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_proportion_outside_the_dead_band() {
        let limits = Limits { min: 1, max: 10 };
        for (ready, value, expected) in [
            (4, Some(16.0), 8),
            (4, Some(8.0), 4),
            (4, Some(8.8), 4),
            (4, Some(7.2), 4),
            (4, Some(9.0), 5),
            (4, Some(0.0), 1),
            (4, Some(1e9), 10),
            (4, None, 4),
            (4, Some(f64::NAN), 4),
            (0, Some(24.0), 3),
            (30, None, 10),
        ] {
            assert_eq!(recommend(ready, value, 8.0, limits), expected, "{ready} {value:?}");
        }
        assert_eq!(recommend(4, Some(1.0), 0.0, limits), 4);
    }
}
