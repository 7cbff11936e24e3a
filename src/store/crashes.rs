//! The store on a disk that fails: what was acknowledged is there, or the epoch is a new one, and a position never stands
//! for two payloads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use redb::Builder;

use super::faulty_disk::FaultyDisk;
use super::{Cleaned, Entry, Failure, Kept, Key, OpenError, Record, Stopped, Store, SyncMode};
use crate::hub::{Epoch, Kind, Offset, Position, TopicName};

fn open(disk: &FaultyDisk, sync: SyncMode, now: u64) -> Result<(Store, Kept), OpenError> {
    let disk = disk.clone();
    let opener = move || {
        let mut builder = Builder::new();
        builder.set_cache_size(1 << 20).set_check_integrity_on_open(true).create_with_backend(disk.clone())
    };
    Store::open_with(Path::new("test.redb"), Box::new(opener), sync, now)
}

/// A topic as those see it who were told something about it.
#[derive(Debug, Clone)]
struct Seen {
    epoch: Epoch,
    low: u64,
    top: u64,
}

/// Whether the publication of this number has a key.
fn has_key(serial: u64) -> bool {
    serial.is_multiple_of(3)
}

/// What was told, and what stood for what.
#[derive(Debug, Default)]
struct World {
    topics: BTreeMap<usize, Seen>,
    payloads: BTreeMap<(u64, u64), Bytes>,
    /// Keys by their text, with their positions.
    keys: BTreeMap<Bytes, Position>,
    /// What was being appended when the disk failed: topic and count.
    in_doubt: Vec<(usize, u64)>,
    serial: u64,
    now: u64,
    last_epoch: u64,
}

impl World {
    fn name(topic: usize) -> TopicName {
        TopicName::new(&format!("topic-{topic}")).unwrap()
    }

    /// The next publications of these topics, and their names if they are new.
    fn draft(&mut self, topics: &[usize], bytes: usize) -> (Vec<(Epoch, TopicName)>, Vec<Entry>) {
        let mut tops: BTreeMap<usize, (Epoch, u64)> = BTreeMap::new();
        let mut entries = Vec::new();
        for &topic in topics {
            let fresh = Epoch((self.last_epoch + 1).max(self.now));
            let (epoch, top) = tops.entry(topic).or_insert_with(|| match self.topics.get(&topic) {
                Some(seen) => (seen.epoch, seen.top),
                None => {
                    self.last_epoch = fresh.0;
                    (fresh, 0)
                }
            });
            *top += 1;
            self.serial += 1;
            let position = Position { epoch: *epoch, offset: Offset(*top) };
            let payload = Bytes::from(format!("{}:{}", self.serial, "x".repeat(bytes)));
            entries.push(Entry::Publication(Record {
                position,
                kind: if self.serial.is_multiple_of(2) { Kind::Text } else { Kind::Binary },
                accepted_micros: self.now,
                payload,
                extras: Bytes::from_static(b"\x01extras"),
            }));
            if has_key(self.serial) {
                let key = Bytes::from(format!("key-{}", self.serial));
                entries.push(Entry::Key(Key { position, key, expires_micros: u64::MAX }));
            }
        }
        let names = tops.iter().map(|(&topic, &(epoch, _))| (epoch, Self::name(topic))).collect();
        (names, entries)
    }

    fn append(&mut self, store: &mut Store, topics: &[usize], bytes: usize) -> Result<(), Failure> {
        let (names, entries) = self.draft(topics, bytes);
        let appended = store.append(&names, &entries);
        if appended.is_err() {
            self.in_doubt = topics.iter().map(|&topic| (topic, 1)).collect();
            return appended;
        }
        for entry in &entries {
            match entry {
                Entry::Publication(record) => self.accept(record),
                Entry::Key(key) => {
                    self.keys.insert(key.key.clone(), key.position);
                }
            }
        }
        for (epoch, name) in names {
            let topic = name.as_str().strip_prefix("topic-").unwrap().parse().unwrap();
            let of_topic = entries.iter().map(Entry::position).filter(|position| position.epoch == epoch);
            let top = of_topic.map(|position| position.offset.0).max().unwrap();
            let seen = self.topics.entry(topic).or_insert(Seen { epoch, low: 1, top });
            seen.top = top;
        }
        Ok(())
    }

    fn accept(&mut self, record: &Record) {
        let position = (record.position.epoch.0, record.position.offset.0);
        let before = self.payloads.insert(position, record.payload.clone());
        assert!(before.is_none_or(|before| before == record.payload), "{position:?} stood for something else");
    }

    fn clean(&self, store: &mut Store, bytes: u64) -> Result<Cleaned, Failure> {
        let low = |epoch| self.topics.values().find(|seen| seen.epoch == epoch).map(|seen| Offset(seen.low));
        store.clean(bytes, self.now, low, |_| true)
    }

    /// Verifies what was read after a start, and goes on from there.
    fn meet(&mut self, kept: &Kept, sync: SyncMode) {
        let has_new_epochs = kept.stopped == Stopped::Suddenly(SyncMode::Interval);
        let in_doubt = std::mem::take(&mut self.in_doubt);
        for (&topic, seen) in &self.topics {
            let name = Self::name(topic);
            let found = kept.topics.iter().find(|kept| kept.name == name);
            let found = found.unwrap_or_else(|| panic!("{name:?} was acknowledged and is gone ({sync:?})"));
            let extra = found.top.0.checked_sub(seen.top).expect("an acknowledged publication is gone");
            let doubted: u64 = in_doubt.iter().filter(|one| one.0 == topic).map(|one| one.1).sum();
            assert!(extra == 0 || extra == doubted, "{extra} of {doubted} came from nowhere");
            if has_new_epochs {
                assert!(found.epoch.0 > self.last_epoch, "an old epoch again");
            } else {
                assert_eq!(found.epoch, seen.epoch);
            }
            let offsets: Vec<u64> = found.records.iter().map(|record| record.position.offset.0).collect();
            let first = offsets.first().copied().unwrap_or(found.top.0 + 1);
            assert!(first <= seen.low.max(1) || seen.low > seen.top, "{} to {} are gone", seen.low, first);
            assert_eq!(offsets, (first..=found.top.0).collect::<Vec<_>>());
            for record in &found.records {
                // Under a new epoch the numbering is the same up to here.
                if let Some(payload) = self.payloads.get(&(seen.epoch.0, record.position.offset.0)) {
                    assert_eq!(&record.payload, payload);
                }
                assert_eq!(record.extras, Bytes::from_static(b"\x01extras"));
            }
        }
        if !has_new_epochs {
            for (key, position) in &self.keys {
                let found = kept.keys.iter().find(|found| found.key == *key);
                let found = found.expect("a key is gone").position;
                // Once a topic has another epoch, a key that outlives it stands where it was used: that was no lie either.
                let lives = self.topics.values().any(|seen| seen.epoch == position.epoch);
                let may_be_older = sync == SyncMode::Interval && !lives;
                assert!(found == *position || may_be_older && found.offset == position.offset);
            }
        }
        // A publication and its key are there together, at the same place.
        for record in kept.topics.iter().flat_map(|topic| &topic.records) {
            let serial = std::str::from_utf8(&record.payload).unwrap().split(':').next().unwrap();
            let key = kept.keys.iter().find(|found| found.key == format!("key-{serial}").as_bytes());
            assert_eq!(key.map(|key| key.position), has_key(serial.parse().unwrap()).then_some(record.position));
        }
        for found in &kept.topics {
            for record in &found.records {
                self.accept(record);
            }
            let topic = found.name.as_str().strip_prefix("topic-").unwrap().parse().unwrap();
            // One that was freed and is there all the same: what is there of it is what it keeps.
            let there = found.records.first().map_or(found.top.0 + 1, |first| first.position.offset.0);
            let low = self.topics.get(&topic).map_or(there, |seen| seen.low);
            self.topics.insert(topic, Seen { epoch: found.epoch, low, top: found.top.0 });
        }
        self.keys = kept.keys.iter().map(|key| (key.key.clone(), key.position)).collect();
        self.last_epoch = self.last_epoch.max(kept.last_epoch.0);
        assert!(kept.topics.iter().all(|topic| topic.epoch <= kept.last_epoch));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>, usize),
    /// History lets go of what is older than this many.
    Keep(usize, u64),
    /// The topic is freed.
    Free(usize),
    Clean(u64),
    /// The disk is full for one append, then not.
    Full(Vec<usize>),
    /// One of the operations that come is reported as failed, though it was done.
    Hiccup(u64),
    Restart,
    /// Cut off after this many operations, in the middle of what comes.
    CutOff(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let topics = || proptest::collection::vec(0..4_usize, 1..12);
    let step = prop_oneof![
        6 => (topics(), prop_oneof![0..300_usize, Just(20_000)]).prop_map(|(topics, bytes)| Step::Append(topics, bytes)),
        2 => (0..4_usize, 0..6_u64).prop_map(|(topic, keep)| Step::Keep(topic, keep)),
        1 => (0..4_usize).prop_map(Step::Free),
        2 => (1..100_000_u64).prop_map(Step::Clean),
        1 => topics().prop_map(Step::Full),
        2 => (0..20_u64).prop_map(Step::Hiccup),
        1 => Just(Step::Restart),
        2 => (0..40_u64).prop_map(Step::CutOff),
    ];
    proptest::collection::vec(step, 1..30)
}

/// How much of a change reached the disk, from a stream of random numbers.
fn picks(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed | 1;
    move |bytes| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 3 {
            0 => 0,
            1 => bytes,
            _ => usize::try_from(state >> 8).unwrap() % (bytes + 1),
        }
    }
}

fn play(steps: &[Step], sync: SyncMode, seed: u64) {
    let mut disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    let mut store = Some(open(&disk, sync, world.now).unwrap().0);
    let mut pick = picks(seed);
    for step in steps {
        world.now += 10;
        let mut open_store = store.take().unwrap();
        let went = match step {
            Step::Append(topics, bytes) => world.append(&mut open_store, topics, *bytes),
            Step::Keep(topic, keep) => {
                if let Some(seen) = world.topics.get_mut(topic) {
                    seen.low = seen.low.max((seen.top + 1).saturating_sub(*keep)).max(1);
                }
                Ok(())
            }
            Step::Free(topic) => match world.topics.remove(topic) {
                // A failure may leave it there, which is no lie: its epoch and all that is in it are right.
                Some(seen) => open_store.forget(&[seen.epoch]),
                None => Ok(()),
            },
            Step::Clean(bytes) => world.clean(&mut open_store, *bytes).map(|_| ()),
            Step::Full(topics) => {
                disk.set_full(true);
                let failed = world.append(&mut open_store, topics, 10);
                let still = open_store.recover();
                disk.set_full(false);
                if failed.is_ok() { Ok(()) } else { still.and(failed) }
            }
            Step::Restart => {
                let closed = open_store.close();
                disk = disk.after_power_loss(&mut pick);
                let (again, kept) = open(&disk, sync, world.now).unwrap();
                // What fails after the mark was made cannot unmake it.
                assert!(kept.stopped == Stopped::Cleanly || closed.is_err() && kept.stopped == Stopped::Suddenly(sync));
                world.meet(&kept, sync);
                store = Some(again);
                continue;
            }
            Step::Hiccup(operations) => {
                disk.hiccup_after(*operations);
                Ok(())
            }
            Step::CutOff(operations) => {
                disk.cut_off_after(*operations);
                Ok(())
            }
        };
        if went.is_ok() {
            store = Some(open_store);
            continue;
        }
        // The same process goes on, if the disk does; or another one starts.
        if open_store.recover().is_ok() {
            world.in_doubt.clear();
            store = Some(open_store);
            continue;
        }
        // The killed process closes nothing.
        disk.cut_off_after(0);
        drop(open_store);
        disk = disk.after_power_loss(&mut pick);
        world.now += 1_000;
        let (again, kept) = open(&disk, sync, world.now).unwrap();
        assert_eq!(kept.stopped, Stopped::Suddenly(sync));
        world.meet(&kept, sync);
        store = Some(again);
    }
}

proptest! {
    #[test]
    fn what_was_acknowledged_is_there_after_any_crash(steps in steps(), seed in any::<u64>()) {
        play(&steps, SyncMode::Always, seed);
    }

    #[test]
    fn with_an_interval_a_crash_gives_new_epochs_and_no_wrong_payload(steps in steps(), seed in any::<u64>()) {
        play(&steps, SyncMode::Interval, seed);
    }
}

/// A disk with an empty store: a file that is being made has another name until it is whole.
fn with_a_store() -> FaultyDisk {
    let disk = FaultyDisk::default();
    open(&disk, SyncMode::Always, 1).unwrap().0.close().unwrap();
    FaultyDisk::holding(disk.bytes())
}

/// A run of everything, up to where the disk is cut off.
fn one_run(disk: &FaultyDisk, world: &mut World) -> Result<(), Failure> {
    let (mut store, kept) = open(disk, SyncMode::Always, world.now).map_err(|error| Failure(error.to_string()))?;
    world.meet(&kept, SyncMode::Always);
    world.append(&mut store, &[0, 1, 0, 2], 10)?;
    world.append(&mut store, &[0; 9], 9_000)?;
    world.topics.get_mut(&0).unwrap().low = 8;
    world.clean(&mut store, 1 << 20)?;
    world.append(&mut store, &[1, 3], 10)?;
    world.clean(&mut store, 1)?;
    store.close()
}

#[test]
fn a_crash_at_every_write_and_sync_loses_nothing_acknowledged() {
    let whole = with_a_store();
    one_run(&whole, &mut World { now: 1_000, ..World::default() }).unwrap();
    let operations = whole.operations();
    assert!(operations > 40, "{operations}");
    for at in 0..operations {
        for seed in 0..4 {
            let disk = with_a_store();
            disk.cut_off_after(at);
            let mut world = World { now: 1_000, ..World::default() };
            one_run(&disk, &mut world).expect_err("it was cut off");
            let disk = match seed {
                0 => disk.after_kill(),
                1 => disk.after_power_loss(|_| 0),
                seed => disk.after_power_loss(picks(seed * 77 + at)),
            };
            let (store, kept) = open(&disk, SyncMode::Always, world.now + 1).unwrap();
            world.meet(&kept, SyncMode::Always);
            store.close().unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    one_run(&disk, &mut world).unwrap();
    let image = disk.bytes();
    let used = image.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let (mut refused, mut unharmed) = (0, 0);
    // A prime stride: every kind of place is met, and the test takes seconds.
    for at in (0..used).step_by(61).chain(0..512) {
        let mut flipped = image.clone();
        flipped[at] ^= 1 << (at % 8);
        let disk = FaultyDisk::holding(flipped);
        match open(&disk, SyncMode::Always, world.now + 1) {
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("test.redb") && message.contains("move the file"), "{message}");
                refused += 1;
            }
            Ok((_, kept)) => {
                let mut met = World {
                    topics: world.topics.clone(),
                    payloads: world.payloads.clone(),
                    keys: world.keys.clone(),
                    ..World::default()
                };
                let met = catch_unwind(AssertUnwindSafe(|| met.meet(&kept, SyncMode::Always)));
                assert!(met.is_ok(), "bit {} of byte {at} of {used} was believed", at % 8);
                unharmed += 1;
            }
        }
    }
    assert!(refused > 100 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn a_file_that_is_cut_at_any_place_is_refused_or_whole() {
    let disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    one_run(&disk, &mut world).unwrap();
    let image = disk.bytes();
    for at in (1..image.len()).step_by(4099).chain(1..400) {
        let disk = FaultyDisk::holding(image[..at].to_vec());
        if let Ok((_, kept)) = open(&disk, SyncMode::Always, world.now + 1) {
            let mut world = World { topics: world.topics.clone(), keys: world.keys.clone(), ..World::default() };
            world.meet(&kept, SyncMode::Always);
        }
    }
}

#[test]
fn a_full_disk_fails_an_append_and_nothing_of_it_is_there_when_it_has_room_again() {
    let disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    let (mut store, _) = open(&disk, SyncMode::Always, world.now).unwrap();
    world.append(&mut store, &[0, 1], 10).unwrap();
    disk.set_full(true);
    world.append(&mut store, &[0, 1], 10).unwrap_err();
    store.append(&[], &[]).unwrap_err();
    store.recover().unwrap_err();
    disk.set_full(false);
    store.append(&[], &[]).unwrap_err();
    store.recover().unwrap();
    world.in_doubt.clear();
    world.append(&mut store, &[0, 1], 20).unwrap();
    drop(store);
    let (_, kept) = open(&disk.after_kill(), SyncMode::Always, world.now).unwrap();
    world.meet(&kept, SyncMode::Always);
    assert!(kept.topics.iter().all(|topic| topic.top == Offset(2)));
}

#[test]
fn what_was_reported_as_failed_and_reached_the_disk_is_taken_back() {
    for at in 0..20 {
        let disk = with_a_store();
        let mut world = World { now: 1_000, ..World::default() };
        let (mut store, _) = open(&disk, SyncMode::Always, world.now).unwrap();
        world.append(&mut store, &[0, 1], 10).unwrap();
        disk.hiccup_after(at);
        if world.append(&mut store, &[0, 1], 10).is_err() {
            // It may have been that which failed now, or what it does itself.
            store.recover().or_else(|_| store.recover()).unwrap();
            world.in_doubt.clear();
        }
        disk.hiccup_after(u64::MAX);
        // The same offsets, for others now.
        world.append(&mut store, &[0, 1], 20).unwrap();
        drop(store);
        let (_, kept) = open(&disk.after_kill(), SyncMode::Always, world.now).unwrap();
        world.meet(&kept, SyncMode::Always);
    }
}

#[test]
fn what_history_let_go_leaves_the_disk_and_what_it_keeps_stays() {
    let disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    let (mut store, _) = open(&disk, SyncMode::Always, world.now).unwrap();
    // A quiet topic, whose one publication lies at the oldest end, and one that goes on and on.
    world.append(&mut store, &[1], 10).unwrap();
    for _ in 0..50 {
        world.append(&mut store, &[0; 20], 1_000).unwrap();
        let seen = world.topics.get_mut(&0).unwrap();
        seen.low = seen.top.saturating_sub(10).max(1);
        world.clean(&mut store, 40_000).unwrap();
    }
    assert!(store.bytes() < 100_000, "{}", store.bytes());
    drop(store);
    let (_, kept) = open(&disk.after_kill(), SyncMode::Always, world.now).unwrap();
    world.meet(&kept, SyncMode::Always);
    assert_eq!(kept.topics.len(), 2);
}

#[test]
fn a_topic_whose_publications_have_all_gone_keeps_its_place() {
    let disk = FaultyDisk::default();
    let mut world = World { now: 1_000, ..World::default() };
    let (mut store, _) = open(&disk, SyncMode::Always, world.now).unwrap();
    world.append(&mut store, &[0, 0, 0], 10).unwrap();
    world.topics.get_mut(&0).unwrap().low = 4;
    world.clean(&mut store, u64::MAX).unwrap();
    store.close().unwrap();
    let (mut store, kept) = open(&disk, SyncMode::Always, world.now).unwrap();
    assert_eq!((kept.topics[0].top, kept.topics[0].records.len()), (Offset(3), 0));
    // Until it is forgotten.
    store.forget(&[kept.topics[0].epoch]).unwrap();
    store.close().unwrap();
    assert!(open(&disk, SyncMode::Always, world.now).unwrap().1.topics.is_empty());
}

#[test]
fn a_store_in_a_file_is_used_by_one_at_a_time_and_what_is_no_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("history.redb");
    // What a crash in the middle of making it has left.
    std::fs::write(directory.path().join("history.redb.new"), b"half").unwrap();
    let mut world = World { now: 1_000, ..World::default() };
    let (mut store, kept) = Store::open(&path, SyncMode::Always, world.now).unwrap();
    assert_eq!(kept.stopped, Stopped::Cleanly);
    world.append(&mut store, &[0, 1], 10).unwrap();
    let error = Store::open(&path, SyncMode::Always, world.now).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(store);
    let (store, kept) = Store::open(&path, SyncMode::Always, world.now).unwrap();
    world.meet(&kept, SyncMode::Always);
    store.close().unwrap();
    std::fs::write(&path, "[server]\n").unwrap();
    let error = Store::open(&path, SyncMode::Always, world.now).unwrap_err().to_string();
    assert!(error.contains("history.redb") && error.contains("move the file away"), "{error}");
    let error = Store::open(Path::new("/nowhere/history.redb"), SyncMode::Always, 1).unwrap_err();
    assert!(matches!(error, OpenError::Disk { .. }), "{error}");
}
