//! A store that stands still stops the writer, which keeps a few parts and no more.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use transform::Store;
use transform::batch::Position;
use transform::journal::Journal;
use transform::upload::Writer;

use crate::faulty::{Fault, Faulty};
use crate::script::{OUTPUT, Script};

/// The look at what stands there, the beginning of an upload, and the look for others.
const OPERATIONS_BEFORE_PARTS: usize = 3;

/// How many parts are taken while none is stored.
async fn check(part_bytes: usize, expected: usize) {
    let faulty = Faulty::new(Store::memory(), Path::from(OUTPUT), Vec::new());
    faulty.plan(OPERATIONS_BEFORE_PARTS, usize::MAX >> 1, Fault::KilledBefore);
    let script = Script::new(part_bytes as u64, &[]);
    let target = script.target(faulty.store(), Journal::nowhere());
    let mut writer = Writer::begin(target, None).await.unwrap();
    let part = Bytes::from(vec![0; part_bytes]);
    let mut taken = 0;
    let start = Position::default();
    while tokio::time::timeout(Duration::from_secs(30), writer.write(part.clone(), start)).await.is_ok() {
        taken += 1;
        assert!(taken <= expected, "{part_bytes}: more than {expected} parts are taken");
    }
    assert_eq!(taken, expected, "{part_bytes}");
}

#[tokio::test(start_paused = true)]
async fn four_parts_are_on_their_way() {
    check(100, 4).await;
    check(16 << 20, 4).await;
}

#[tokio::test(start_paused = true)]
async fn large_parts_are_fewer() {
    check(20 << 20, 3).await;
    check(40 << 20, 1).await;
    check(70 << 20, 1).await;
}
