//! Divides what does not fit one call of the module.

/// In bytes: far below the module's memory.
const PART_SIZE: usize = 4 << 20;
/// Keeps a call short.
const PART_LENGTH: usize = 100;

/// As many of the items together as fit, at least one, in their order.
pub(super) fn parts<Item>(items: Vec<Item>, size_of: impl Fn(&Item) -> usize) -> Vec<Vec<Item>> {
    let mut parts: Vec<Vec<Item>> = Vec::new();
    let mut size = 0;
    for item in items {
        size += size_of(&item);
        match parts.last_mut() {
            Some(part) if size <= PART_SIZE && part.len() < PART_LENGTH => part.push(item),
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

    fn lengths(sizes: &[usize]) -> Vec<usize> {
        parts(sizes.to_vec(), |&size| size).iter().map(Vec::len).collect()
    }

    const MEGA: usize = 1 << 20;

    #[test]
    fn f6_a_few_large_messages_are_opened_at_a_time() {
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[9 * MEGA, 9 * MEGA]), [1, 1]);
        assert_eq!(lengths(&[2 * MEGA, 2 * MEGA, 1, 2 * MEGA]), [2, 2]);
    }

    #[test]
    fn f3_a_batch_of_history_may_be_larger_than_the_module() {
        assert_eq!(lengths(&[150_000; 550]).iter().sum::<usize>(), 550);
        assert!(lengths(&[150_000; 550]).iter().all(|&length| length * 150_000 <= PART_SIZE));
        assert_eq!(lengths(&[1; 250]), [100, 100, 50]);
    }
}
