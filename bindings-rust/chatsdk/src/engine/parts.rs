//! Divides what does not fit one call of the module.

/// In bytes: far below the module's memory.
const PART_SIZE: usize = 4 << 20;

/// As many of the items together as fit, at most `longest`, at least one, in their order.
pub(super) fn parts<Item>(items: Vec<Item>, longest: usize, size_of: impl Fn(&Item) -> usize) -> Vec<Vec<Item>> {
    let mut parts: Vec<Vec<Item>> = Vec::new();
    let mut size = 0;
    for item in items {
        size += size_of(&item);
        match parts.last_mut() {
            Some(part) if size <= PART_SIZE && part.len() < longest => part.push(item),
            _ => {
                size = size_of(&item);
                parts.push(vec![item]);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(sizes: &[usize], longest: usize) -> Vec<usize> {
        parts(sizes.to_vec(), longest, |&size| size).iter().map(Vec::len).collect()
    }

    const MEGA: usize = 1 << 20;

    #[test]
    fn f6_a_few_large_messages_are_opened_at_a_time() {
        let lengths = |sizes| lengths(sizes, usize::MAX);
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[9 * MEGA, 9 * MEGA]), [1, 1]);
        assert_eq!(lengths(&[2 * MEGA, 2 * MEGA, 1, 2 * MEGA]), [2, 2]);
        assert_eq!(lengths(&[100; 1000]), [1000]);
    }

    #[test]
    fn f3_a_batch_of_history_may_be_larger_than_the_module() {
        let lengths = |sizes| lengths(sizes, 100);
        assert_eq!(lengths(&[150_000; 550]).iter().sum::<usize>(), 550);
        assert!(lengths(&[150_000; 550]).iter().all(|&length| length * 150_000 <= PART_SIZE));
        assert_eq!(lengths(&[1; 250]), [100, 100, 50]);
    }
}
