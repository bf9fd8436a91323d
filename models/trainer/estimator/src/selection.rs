//! A part of a channel's rows: those of a hold-out or of a fold, or those that are left. Whoever reads the channel need not
//! know.

use std::sync::Arc;

/// Which rows of a channel are read.
#[derive(Debug, Clone, Default)]
pub enum Selection {
    /// All.
    #[default]
    All,
    /// Those whose place (from 0, in reading order) is marked.
    Marked(Arc<[bool]>),
}

impl Selection {
    /// Whether the row at this place is read. Rows beyond the marks are not.
    pub fn keeps(&self, row: u64) -> bool {
        match self {
            Self::All => true,
            Self::Marked(marks) => {
                usize::try_from(row).ok().and_then(|row| marks.get(row)).is_some_and(|kept| *kept)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_which_rows_are_read() {
        let kept = |selection: &Selection| (0..4).filter(|row| selection.keeps(*row)).collect::<Vec<_>>();
        assert_eq!(kept(&Selection::All), [0, 1, 2, 3]);
        assert_eq!(kept(&Selection::Marked([true, false, true].into())), [0, 2]);
    }
}
