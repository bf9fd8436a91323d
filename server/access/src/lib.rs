//! Who calls and what they may: SigV4, keys, allow lists, replay, rates.
