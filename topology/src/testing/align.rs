//! Which records of two lists belong together.

/// Pairs that are compared at most: above it, records belong together by their place alone.
const CELLS_MAX: usize = 4_000_000;

/// A step through two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aligned {
    /// These two belong together.
    Same(usize, usize),
    /// Of the first list alone.
    Left(usize),
    /// Of the second list alone.
    Right(usize),
}

/// The longest common subsequence of two lists, by a test that need not be an equality: an expectation may fit several records.
pub(super) fn align<A, B>(left: &[A], right: &[B], same: impl Fn(&A, &B) -> bool) -> Vec<Aligned> {
    let common = left.iter().zip(right).take_while(|(a, b)| same(a, b)).count();
    let mut steps: Vec<Aligned> = (0..common).map(|place| Aligned::Same(place, place)).collect();
    let (rows, columns) = (left.len() - common, right.len() - common);
    if rows.saturating_mul(columns) > CELLS_MAX {
        steps.extend((common..left.len()).map(Aligned::Left));
        steps.extend((common..right.len()).map(Aligned::Right));
        return steps;
    }
    // lengths[i][j]: the longest from left[i] and right[j] on.
    let width = columns + 1;
    let mut fits = vec![false; rows * columns];
    let mut lengths = vec![0usize; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let fit = same(&left[common + row], &right[common + column]);
            fits[row * columns + column] = fit;
            let skipped = lengths[(row + 1) * width + column].max(lengths[row * width + column + 1]);
            let taken = if fit { lengths[(row + 1) * width + column + 1] + 1 } else { 0 };
            lengths[row * width + column] = skipped.max(taken);
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        let here = lengths[row * width + column];
        if fits[row * columns + column] && here == lengths[(row + 1) * width + column + 1] + 1 {
            steps.push(Aligned::Same(common + row, common + column));
            (row, column) = (row + 1, column + 1);
        } else if here == lengths[(row + 1) * width + column] {
            steps.push(Aligned::Left(common + row));
            row += 1;
        } else {
            steps.push(Aligned::Right(common + column));
            column += 1;
        }
    }
    steps.extend((common + row..left.len()).map(Aligned::Left));
    steps.extend((common + column..right.len()).map(Aligned::Right));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(left: &str, right: &str) -> String {
        let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
        let step = |step: &Aligned| match *step {
            Aligned::Same(a, _) => left[a].to_string(),
            Aligned::Left(a) => format!("-{}", left[a]),
            Aligned::Right(b) => format!("+{}", right[b]),
        };
        align(&left, &right, |a, b| a == b).iter().map(step).collect()
    }

    #[test]
    fn what_is_common_stays_together() {
        assert_eq!(shown("abc", "abc"), "abc");
        assert_eq!(shown("abc", "bc"), "-abc");
        assert_eq!(shown("bc", "abxc"), "+ab+xc");
        assert_eq!(shown("abc", ""), "-a-b-c");
        assert_eq!(shown("ab", "ba"), "-ab+a");
        assert_eq!(shown("axc", "ayc"), "a-x+yc");
    }

    proptest! {
        #[test]
        fn every_record_is_named_once_and_in_order(left in "[abc]{0,12}", right in "[abc]{0,12}") {
            let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
            let (mut lefts, mut rights) = (Vec::new(), Vec::new());
            for step in align(&left, &right, |a, b| a == b) {
                match step {
                    Aligned::Same(a, b) => {
                        prop_assert_eq!(left[a], right[b]);
                        lefts.push(a);
                        rights.push(b);
                    }
                    Aligned::Left(a) => lefts.push(a),
                    Aligned::Right(b) => rights.push(b),
                }
            }
            prop_assert!(lefts.into_iter().eq(0..left.len()) && rights.into_iter().eq(0..right.len()));
        }
    }
}
