//! The invariants of the structure itself, looked at from outside its operations.

use super::super::LogId;
use super::super::connection::{Connection, NOT_BLOCKED};
use super::super::delay::Delay;
use super::super::fanout::Fanout;
use super::super::log::{Member, PARKED};

/// Panics if any invariant does not hold. O(everything).
pub(super) fn check(fanout: &Fanout) {
    check_logs(fanout);
    check_connections(fanout);
    check_work(fanout);
}

fn check_logs(fanout: &Fanout) {
    let (mut log_bytes, mut held, mut specials) = (0, 0, 0);
    for index in 0..fanout.logs.used() {
        let log = &fanout.logs[index];
        let parked = log.members.iter().filter(|member| member.cursor == PARKED).count();
        assert_eq!(log.parked as usize, parked);
        for (at, member) in log.members.iter().enumerate() {
            let seats = &fanout.connections[member.slot].seats;
            assert!(
                seats.iter().any(|seat| seat.log == LogId(index) && seat.at as usize == at),
                "a member has its seat"
            );
            assert_eq!(member.is(Member::SPECIAL), fanout.specials.get(LogId(index), member.slot).is_some());
            held += u32::from(member.is(Member::HELD));
            specials += usize::from(member.is(Member::SPECIAL));
            assert!(member.cursor == PARKED || member.cursor <= log.head);
        }
        let behind: Vec<u64> = log.members.iter().map(|member| member.cursor).filter(|&at| at < log.head).collect();
        let Some(active) = &log.active else {
            assert!(behind.is_empty(), "someone is behind in a log that keeps nothing");
            continue;
        };
        assert_eq!(active.behind as usize, behind.len());
        assert!(active.behind > 0);
        assert_eq!(fanout.active[active.listed as usize], LogId(index));
        let mut end = active.segments.front().unwrap().start;
        assert!(behind.iter().all(|&at| at >= end), "what someone waits for is kept");
        for segment in &active.segments {
            assert_eq!(segment.start, end, "segments join");
            end = segment.end();
            log_bytes += segment.charge_bytes();
            assert_eq!(u64::from(segment.marks.last().unwrap().end), segment.end() - segment.start);
        }
        assert_eq!(end, log.head);
        for at in behind {
            let segment = log.segment_at(at);
            assert_eq!(segment.frame(segment.frame_at(at)).start, at, "a cursor is at a frame boundary");
        }
    }
    assert_eq!(fanout.ledger.log_bytes(), log_bytes);
    assert_eq!(fanout.held, held);
    assert_eq!(fanout.specials.len(), specials);
}

fn check_connections(fanout: &Fanout) {
    for slot in 0..fanout.connections.used() {
        let conn = &fanout.connections[slot];
        for seat in &conn.seats {
            assert_eq!(fanout.logs[seat.log.0].members[seat.at as usize].slot, slot, "a seat has its member");
        }
        assert_eq!(conn.is(Connection::READY), fanout.ready.iter().filter(|&&one| one == slot).count() == 1);
        if conn.stall != NOT_BLOCKED {
            assert_eq!(fanout.blocked[conn.stall as usize].0, slot);
        }
        assert!(conn.is(Connection::LIVE) || (conn.seats.is_empty() && conn.owed.is_none()));
        if let Some(owed) = &conn.owed {
            assert_eq!(owed.outbox_bytes, owed.outbox.iter().map(|(frame, _)| frame.len()).sum::<usize>());
            assert!(!owed.is_nothing());
        }
    }
}

/// Whoever has something to get and can take it is going to be visited.
fn check_work(fanout: &Fanout) {
    for index in 0..fanout.logs.used() {
        let log = &fanout.logs[index];
        assert_eq!(log.queued, fanout.ring.iter().filter(|&&one| one == LogId(index)).count() == 1);
        let fresh = fanout.delayed.fresh.iter().filter(|&&one| one == LogId(index)).count();
        let due = fanout.delayed.due.iter().filter(|one| one.0.1 == index).count();
        assert_eq!(fresh + due, usize::from(log.delay != Delay::Nothing), "each that waits has one place");
        assert!(log.delay != Delay::Orphaned || log.members.is_empty());
        let Some(active) = &log.active else { continue };
        let count = log.members.len() as u32;
        for (at, member) in log.members.iter().enumerate() {
            let conn = &fanout.connections[member.slot];
            if member.cursor >= log.head || member.is(Member::HELD) || conn.stall != NOT_BLOCKED {
                continue;
            }
            let position = if active.position >= count { 0 } else { active.position };
            let ahead = (at as u32 + count - position) % count;
            let in_round = (log.queued || fanout.urgent == Some(LogId(index))) && ahead < active.rest;
            let waits = log.delay == Delay::Waiting;
            assert!(in_round || waits || conn.is(Connection::READY), "nobody is left behind unseen");
        }
    }
    for slot in 0..fanout.connections.used() {
        let conn = &fanout.connections[slot];
        if conn.is(Connection::LIVE) && conn.owed.is_some() && conn.stall == NOT_BLOCKED {
            assert!(conn.is(Connection::READY), "who is owed a reply is going to be visited");
        }
    }
}
