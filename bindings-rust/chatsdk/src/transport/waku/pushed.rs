//! The messages that nodes pushed, each of which the client is given once.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::lock;
use super::sharding::Hash;

/// The history of 7 minutes of a bucket with 10,000 users in 16, 46 messages a second, must find them here.
const MESSAGES: usize = 32_768;

#[derive(Default)]
pub(super) struct Pushed(Mutex<State>);

#[derive(Default)]
struct State {
    messages: HashMap<Hash, Message>,
    /// Oldest first.
    order: VecDeque<Hash>,
}

struct Message {
    timestamp: i64,
    /// By the client. Until then it may be lost yet, with the process.
    taken: bool,
}

impl Pushed {
    /// False if it came already, from another node or twice.
    pub(super) fn add(&self, hash: Hash, timestamp: i64) -> bool {
        let mut state = lock(&self.0);
        if state.messages.contains_key(&hash) {
            return false;
        }
        state.messages.insert(hash, Message { timestamp, taken: false });
        state.order.push_back(hash);
        if state.order.len() > MESSAGES
            && let Some(oldest) = state.order.pop_front()
        {
            state.messages.remove(&oldest);
        }
        true
    }

    pub(super) fn set_taken(&self, hash: &Hash) {
        if let Some(message) = lock(&self.0).messages.get_mut(hash) {
            message.taken = true;
        }
    }

    /// The timestamp of a message that the client has taken.
    pub(super) fn taken_at(&self, hash: &Hash) -> Option<i64> {
        let state = lock(&self.0);
        state.messages.get(hash).filter(|message| message.taken).map(|message| message.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> Hash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn f3_a_message_is_new_once_and_known_when_the_client_has_taken_it() {
        let pushed = Pushed::default();
        assert!(pushed.add(hash(1), 7));
        assert_eq!(pushed.taken_at(&hash(1)), None);
        pushed.set_taken(&hash(1));
        assert_eq!(pushed.taken_at(&hash(1)), Some(7));
        assert!(!pushed.add(hash(1), 7));
        assert_eq!(pushed.taken_at(&hash(1)), Some(7));
        pushed.set_taken(&hash(2));
        assert_eq!(pushed.taken_at(&hash(2)), None, "it was not pushed");
    }

    #[test]
    fn f3_seven_minutes_of_a_bucket_are_remembered_and_the_oldest_goes_first() {
        let pushed = Pushed::default();
        for number in 0..=MESSAGES {
            assert!(pushed.add(hash(number), 0));
            pushed.set_taken(&hash(number));
        }
        assert_eq!([0, 1, MESSAGES].map(|number| pushed.taken_at(&hash(number))), [None, Some(0), Some(0)]);
        const { assert!(MESSAGES > 7 * 60 * 46) };
    }
}
