//! The random choices of a reduction, which the model then holds.

use models::knn::Reduction;

use crate::table::{ReductionSettings, Settings};

/// The reduction that the hyperparameters ask for; the same at all hosts.
pub(crate) fn reduction(settings: &Settings) -> Option<Reduction> {
    let ReductionSettings { is_sign, target } = settings.reduction?;
    let mut random = fastrand::Rng::with_seed(settings.seed);
    let mut signs =
        |count: usize| (0..count).map(|_| if random.bool() { 1 } else { -1 }).collect::<Vec<i8>>();
    let input = settings.columns;
    if is_sign {
        return Some(Reduction::Sign { signs: signs(input * target), input, target });
    }
    let power = input.next_power_of_two();
    let signs = signs(power);
    let mut chosen: Vec<u32> = random.choose_multiple(0..power as u32, target);
    chosen.sort_unstable();
    Some(Reduction::Fjlt { signs, chosen, input })
}
